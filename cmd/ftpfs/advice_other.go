//go:build !linux

package main

// mountAdvice says what is probably missing when mounting fails.
func mountAdvice() string { return "is FUSE (macFUSE, fusefs) installed?" }
