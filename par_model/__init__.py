"""The attribute model: VTFPAR++ and everything that trains, exports and runs it."""
