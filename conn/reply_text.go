package conn

import (
	"io/fs"
	"strings"
)

// The phrases below are in lower case. Most are texts of strerror(3) or of
// Windows, which servers pass on.

// demandsTLS are phrases of ProFTPD, vsftpd, Pure-FTPd, FileZilla, IIS and
// pyftpdlib to a client that talks in clear text.
var demandsTLS = []string{
	"must use encryption", "must be encrypted", "cleartext sessions", "use auth first", "allow plain ftp",
	"ssl/tls required", "tls required", "ssl required", "tls is required", "ssl is required",
	"requires ssl", "requires tls", "requires encryption", "requires a secure",
}

// tooMany are phrases of servers that have no session left for us.
var tooMany = []string{
	"too many", "overloaded", "try later", "try again later", "try back later", "maximum number",
	"number of connect", "already connected", "already logged in", "simultaneous login", "more connection",
}

// denied are phrases of servers that lack the permission, or say so.
var denied = []string{
	"permission denied", "access denied", "access is denied", "not allowed", "forbidden", "no permission",
	"insufficient permission", "insufficient privilege", "restart not permitted", "is not permitted",
}

// reasons maps what a text says to what it means; the first that fits counts.
var reasons = []struct {
	err     error
	vague   bool
	phrases []string
}{
	{err: ErrNotEmpty, phrases: []string{"not empty"}},
	{err: ErrQuota, phrases: []string{"quota"}},
	{err: ErrNoSpace, phrases: []string{
		"no space", "not enough space", "out of space", "disk full", "disk is full", "device full",
		"failure writing to local file", "error during write to file", // vsftpd and Pure-FTPd on a full disk
		"insufficient disk", "insufficient space", "insufficient storage",
	}},
	{err: fs.ErrNotExist, phrases: []string{
		"no such file", "no such directory", "not found", "cannot find", "can't find", "doesn't exist", "does not exist",
	}},
	{err: fs.ErrPermission, phrases: denied},
	{err: ErrNotOwner, phrases: []string{"operation not permitted"}},
	{err: fs.ErrExist, phrases: []string{"file exists", "already exist", "directory exists"}},
	{err: ErrIsDir, phrases: []string{"is a directory", "dir has the same name"}},
	{err: ErrNotDir, phrases: []string{"not a directory", "is a file", "directory name is invalid"}},
	// inetutils says so of missing files, ProFTPD of dangling links.
	{err: ErrIsDir, vague: true, phrases: []string{"not a plain file", "not a regular file", "only retrieve regular"}},
	{err: ErrLoop, phrases: []string{"too many levels"}},
	{err: ErrNameTooLong, phrases: []string{"name too long", "command too long", "line too long"}},
	{err: ErrInvalidName, phrases: []string{
		"prohibited", "illegal", "invalid name", "invalid directory name", "invalid file name", "invalid filename", "invalid argument",
	}},
	{err: ErrReadOnly, phrases: []string{"read-only"}},
	{err: ErrBusy, phrases: []string{"in use", "being used", "busy", "is locked", "file locked", "locked by"}},
	{err: ErrCrossDevice, phrases: []string{"cross-device"}},
}

// byText returns the reason that a text in lower case gives: what is behind
// its last colon before the whole, for the first half may still hold a path
// (goftp.io's server names the real one, not ours).
func byText(v traits, text string) (meaning, bool) {
	tail := text
	if i := strings.LastIndex(text, ": "); i >= 0 {
		tail = text[i+2:]
	}
	for _, part := range []string{tail, text} {
		for _, r := range reasons {
			if contains(part, r.phrases) {
				return forVerb(v, meaning{err: r.err, outcome: Refused, vague: r.vague}, part), true
			}
		}
	}
	return meaning{}, false
}

// forVerb corrects reasons that a command is known to give for another.
func forVerb(v traits, m meaning, text string) meaning {
	switch {
	case m.err == fs.ErrNotExist && contains(text, denied): // "not found or access denied"
		m.vague = true
	case v.name == "MLSD" && strings.Contains(text, "no such directory"): // pyftpdlib says so of a file as well
		m.vague = true
	case m.err == ErrNotOwner && v.name == "RNTO": // ProFTPD: a file over a directory
		m.err, m.vague = ErrIsDir, true
	case m.err == ErrInvalidName && v.name == "DELE" && strings.Contains(text, "invalid argument"): // Pure-FTPd: a directory
		m.err, m.vague = ErrIsDir, true
	}
	return m
}

// withoutPath removes a path that the server echoed: all of it anywhere, also
// behind the real path of the server's root and with its quotes doubled (RFC
// 959, appendix II); or only its last component, in front or in quotes.
func withoutPath(msg, path string) string {
	if len(path) < 2 {
		return msg
	}
	msg = remove(msg, path)
	if strings.Contains(path, `"`) {
		msg = remove(msg, strings.ReplaceAll(path, `"`, `""`))
	}
	base := path[strings.LastIndexByte(path, '/')+1:]
	if rest, ok := strings.CutPrefix(msg, base+":"); ok {
		return rest
	}
	return strings.NewReplacer(`'`+base+`'`, "", `"`+base+`"`, "").Replace(msg)
}

// remove drops each path from s that ends where a path in a sentence ends.
func remove(s, path string) string {
	var b strings.Builder
	for {
		i := strings.Index(s, path)
		if i < 0 {
			b.WriteString(s)
			return b.String()
		}
		end := i + len(path)
		if end == len(s) || strings.IndexByte(" :;,.'\")]>", s[end]) >= 0 {
			b.WriteString(s[:i])
		} else {
			b.WriteString(s[:end])
		}
		s = s[end:]
	}
}

// oneLine makes text fit for one line of a log: no control characters, no
// spaces around it, at most maxMsg bytes.
func oneLine(text string) string {
	text = strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, text))
	if len(text) > maxMsg {
		const cut = " ... "
		half := (maxMsg - len(cut)) / 2
		text = text[:half] + cut + text[len(text)-half:]
	}
	return text
}

// contains reports whether one of the phrases is in s.
func contains(s string, phrases []string) bool {
	for _, p := range phrases {
		if strings.Contains(s, p) {
			return true
		}
	}
	return false
}
