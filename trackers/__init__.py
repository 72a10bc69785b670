"""Who is who: multi-object trackers over arrays, in seconds, one instance a camera."""
