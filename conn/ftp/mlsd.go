package ftp

import (
	"fmt"
	"io/fs"
	"strings"
	"time"

	"ftpfs/conn"
)

// parseMLSD parses one line of MLSD (RFC 3659, 7.2): "fact=value;... name",
// facts in any case and order. The facts end at the first "; ", for values
// may hold spaces ("UNIX.ownername=John Doe"), or where the last semicolon is
// missing at the first space. The line may have no facts at all.
//
// A type that RFC 3659 does not have makes a KindOther, as does Pure-FTPd's
// "unknown", which stands for fifos, sockets and devices; without a type the
// kind is not known. The current and the parent directory are skipped.
func parseMLSD(line string) (conn.Entry, error) {
	facts, name, ok := "", "", false
	if strings.HasPrefix(line, " ") {
		name, ok = line[1:], true
	} else if facts, name, ok = strings.Cut(line, "; "); !ok {
		facts, name, ok = strings.Cut(line, " ")
	}
	if !ok {
		return conn.Entry{}, fmt.Errorf("%w: no space before the name", errUnparsed)
	}
	if first, _, _ := strings.Cut(facts, ";"); facts != "" && !strings.Contains(first, "=") {
		return conn.Entry{}, fmt.Errorf("%w: no facts", errUnparsed)
	}
	e, listed := parseFacts(facts)
	if !listed {
		return conn.Entry{}, errSkip
	}
	return named(e, name)
}

// parseFacts reads "fact=value;..."; what it does not know it passes over.
// listed is false for the current and the parent directory.
func parseFacts(facts string) (e conn.Entry, listed bool) {
	e.Size = -1
	listed = true
	var ownerName, groupName string
	for fact := range strings.SplitSeq(facts, ";") {
		key, value, _ := strings.Cut(fact, "=")
		switch strings.ToLower(key) {
		case "type":
			e.Kind, e.Target, listed = parseType(value)
		case "size":
			e.Size = parseSize(value)
		case "modify":
			setTime(&e, parseTimeVal(value), time.Second)
		case "perm":
			e.Perm = strings.ToLower(value)
		case "unix.mode":
			e.Mode, e.HasMode = parseMode(value)
		case "unix.uid", "unix.owner":
			e.Owner = value
		case "unix.gid", "unix.group":
			e.Group = value
		case "unix.ownername":
			ownerName = value
		case "unix.groupname":
			groupName = value
		}
	}
	// The number before the name: in a chroot ProFTPD 1.3.8 gives every file
	// the login's own name (measured: "UNIX.owner=0;UNIX.ownername=lab").
	if e.Owner == "" {
		e.Owner = ownerName
	}
	if e.Group == "" {
		e.Group = groupName
	}
	return e, listed
}

// parseType reads the value of the fact "type" (RFC 3659, 7.5.1).
func parseType(value string) (kind conn.Kind, target string, listed bool) {
	switch v := strings.ToLower(value); {
	case v == "file":
		return conn.KindFile, "", true
	case v == "dir":
		return conn.KindDir, "", true
	case v == "cdir" || v == "pdir":
		return conn.KindDir, "", false
	case v == "os.unix=symlink" || v == "os.unix=slink":
		return conn.KindSymlink, "", true
	case strings.HasPrefix(v, "os.unix=slink:"):
		return conn.KindSymlink, value[len("os.unix=slink:"):], true
	}
	return conn.KindOther, "", true
}

// parseTimeVal reads a time as RFC 3659, 2.3 has it: 14 digits, in UTC. A
// fraction of a second is dropped. The zero time stands for anything else.
func parseTimeVal(s string) time.Time {
	s, _, _ = strings.Cut(s, ".")
	if len(s) != 14 {
		return time.Time{}
	}
	day, okDay := number(s[:8])
	clock, okClock := number(s[8:])
	if !okDay || !okClock {
		return time.Time{}
	}
	return date(day/10000, time.Month(day/100%100), day%100, clock/10000, clock/100%100, clock%100)
}

// parseMode reads permission bits in octal, with or without the "0o" that
// pyftpdlib puts before them; bits above them, such as a file type, are
// dropped.
func parseMode(s string) (fs.FileMode, bool) {
	s = strings.TrimPrefix(s, "0o")
	if s == "" || len(s) > 8 {
		return 0, false
	}
	bits := 0
	for i := range len(s) {
		d := s[i] - '0'
		if d > 7 {
			return 0, false
		}
		bits = bits<<3 | int(d)
	}
	mode := fs.FileMode(bits & 0o777)
	if bits&0o4000 != 0 {
		mode |= fs.ModeSetuid
	}
	if bits&0o2000 != 0 {
		mode |= fs.ModeSetgid
	}
	if bits&0o1000 != 0 {
		mode |= fs.ModeSticky
	}
	return mode, true
}
