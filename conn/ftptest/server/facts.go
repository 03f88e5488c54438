package server

import (
	"bytes"
	"fmt"
	"io/fs"
	"net"
	"path"
	"slices"
	"strings"
	"syscall"
)

// allFacts returns the facts of MLSD and MLST (RFC 3659, section 7.5) in the
// order in which they are shown.
func allFacts() []string {
	return []string{"modify", "perm", "size", "type", "unique", "UNIX.group", "UNIX.mode", "UNIX.owner"}
}

// factList is the line of FEAT: a star marks what is shown.
func (s *session) factList() string {
	var b strings.Builder
	for _, f := range allFacts() {
		b.WriteString(f)
		if slices.Contains(s.facts, f) {
			b.WriteByte('*')
		}
		b.WriteByte(';')
	}
	return b.String()
}

// chooseFacts is OPTS MLST: unknown facts are passed over (RFC 3659, 7.9).
func (s *session) chooseFacts(list string) Reply {
	wanted := strings.Split(list, ";")
	s.facts = slices.DeleteFunc(allFacts(), func(f string) bool {
		return !slices.ContainsFunc(wanted, func(w string) bool { return strings.EqualFold(w, f) })
	})
	if len(s.facts) == 0 {
		return Reply{Code: 200, Text: "MLST OPTS"}
	}
	return replyf(200, "MLST OPTS %s;", strings.Join(s.facts, ";"))
}

// factLine returns the facts of an object and its name.
func (s *session) factLine(it item, parentWritable bool, name string) string {
	o := ownerOf(it.info)
	var b strings.Builder
	for _, f := range s.facts {
		var value any
		switch f {
		case "modify":
			value = it.info.ModTime().UTC().Format(timeFormat)
		case "perm":
			value = s.perm(it.info, parentWritable)
		case "size":
			if it.info.IsDir() {
				continue // servers do not agree on what it is
			}
			value = it.info.Size()
		case "type":
			value = typeFact(it)
		case "unique":
			value = fmt.Sprintf("%XU%X", o.device, o.id)
		case "UNIX.group":
			value = o.gid
		case "UNIX.mode":
			value = fmt.Sprintf("0%o", unixMode(it.info.Mode()))
		case "UNIX.owner":
			value = o.uid
		}
		fmt.Fprintf(&b, "%s=%v;", f, value)
	}
	return b.String() + " " + name
}

// typeFact returns the type fact. A link's target that would break the line up
// is left out, as Pure-FTPd leaves out all; devices and the like are files, as
// with ProFTPD.
func typeFact(it item) string {
	switch {
	case it.name == ".":
		return "cdir"
	case it.name == "..":
		return "pdir"
	case it.info.IsDir():
		return "dir"
	case it.info.Mode()&fs.ModeSymlink == 0:
		return "file"
	case strings.ContainsAny(it.target, ";\r\n"):
		return "OS.unix=slink:"
	}
	return "OS.unix=slink:" + it.target
}

// perm returns what the client may do (RFC 3659, section 7.5.5), in ProFTPD's
// order of letters.
func (s *session) perm(fi fs.FileInfo, parentWritable bool) string {
	var b strings.Builder
	add := func(letters string, allowed bool) {
		if allowed {
			b.WriteString(letters)
		}
	}
	move := parentWritable && !s.srv.cfg.ReadOnly
	read, write := accessible(fi, 4), accessible(fi, 2) && !s.srv.cfg.ReadOnly
	if fi.IsDir() {
		add("f", move)
		add("l", read)
		add("c", write)
		add("d", move)
		add("mp", write)
		add("e", accessible(fi, 1))
		return b.String()
	}
	add("a", write)
	add("df", move)
	add("r", read)
	add("w", write)
	return b.String()
}

// cmdMlsd lists a directory with facts, hidden names included.
func (s *session) cmdMlsd() Reply {
	fi, err := s.stat(s.arg)
	switch {
	case err != nil:
		return s.refuse(s.arg, err)
	case !fi.IsDir():
		return replyf(550, "'%s' is not a directory", s.arg)
	case !accessible(fi, 4):
		return s.refuse(s.arg, syscall.EACCES)
	}
	items, err := s.readDir(s.arg)
	if err != nil {
		return s.refuse(s.arg, err)
	}
	writable := accessible(fi, 2)
	var b bytes.Buffer
	for _, it := range items {
		b.WriteString(s.factLine(it, writable, it.name) + "\r\n")
	}
	return s.transfer(s.opening("MLSD"), func(c net.Conn) Reply {
		_, err := c.Write(b.Bytes())
		return moved(err)
	})
}

// cmdMlst shows one object; of a symbolic link the link itself.
func (s *session) cmdMlst() Reply {
	fi, err := s.lstat(s.arg)
	if err != nil {
		return replyf(550, "'%s' cannot be listed", s.arg)
	}
	p := s.abs(s.arg)
	parent, err := s.stat(path.Dir(p))
	writable := err == nil && accessible(parent, 2)
	line := s.factLine(s.item(p, s.name(s.arg), fi), writable, p)
	shown := s.arg
	if shown == "" {
		shown = s.cwd
	}
	return replyf(250, "Start of list for %s\n %s\nEnd of list", shown, line)
}
