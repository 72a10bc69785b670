"""The streaming application: cameras in, labelled people out."""
