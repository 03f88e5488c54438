package conn

import (
	"fmt"
	"strings"
)

// maxName is the longest path component in bytes: NAME_MAX of Linux, and what
// the servers' own file systems allow.
const maxName = 255

// CheckName returns nil if name can be one component of a path, both on the
// wire and in a local directory. Names come from the server's listings and
// from the kernel; neither is trusted. It fails with an error that wraps
// ErrInvalidName or ErrNameTooLong (over 255 bytes).
func CheckName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("%w: it is empty", ErrInvalidName)
	case name == "." || name == "..":
		return fmt.Errorf("%w: %q has a meaning of its own", ErrInvalidName, name)
	case strings.IndexByte(name, '/') >= 0:
		return fmt.Errorf("%w: it holds a slash", ErrInvalidName)
	}
	if err := checkBytes(name); err != nil {
		return err
	}
	if len(name) > maxName {
		return fmt.Errorf("%w: %d bytes", ErrNameTooLong, len(name))
	}
	return nil
}

// CheckPath returns nil if path is an absolute server path that can be put on
// the wire: "/" or components without NUL, CR and LF, none of them empty, "."
// or "..". Else the error wraps ErrInvalidName. Lengths are the server's
// business.
func CheckPath(path string) error {
	rest, ok := strings.CutPrefix(path, "/")
	if !ok {
		return fmt.Errorf("%w: the path is not absolute", ErrInvalidName)
	}
	if rest == "" {
		return nil
	}
	for part := range strings.SplitSeq(rest, "/") {
		if part == "" || part == "." || part == ".." {
			return fmt.Errorf("%w: the path holds the component %q", ErrInvalidName, part)
		}
	}
	return checkBytes(path)
}

// checkBytes refuses the bytes that cannot be sent in an argument: CR and LF
// end a command (RFC 959, 5.3), and servers cut a line at NUL.
func checkBytes(s string) error {
	if strings.IndexByte(s, 0) >= 0 || strings.IndexByte(s, '\r') >= 0 || strings.IndexByte(s, '\n') >= 0 {
		return fmt.Errorf("%w: it holds NUL, CR or LF", ErrInvalidName)
	}
	return nil
}
