package server

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"path"
	"slices"
	"strings"
	"time"
)

// item is one line of a listing.
type item struct {
	name   string // as it is shown
	info   fs.FileInfo
	target string // of a symbolic link
}

// readDir returns what is in a directory, by name. "." and ".." come first.
func (s *session) readDir(arg string) ([]item, error) {
	dir := s.name(arg)
	f, err := s.srv.root.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	self, err := f.Stat()
	if err != nil {
		return nil, err
	}
	infos, err := f.Readdir(-1)
	if err != nil {
		return nil, err
	}
	parent, err := s.stat(path.Dir(s.abs(arg)))
	if err != nil {
		parent = self
	}
	items := make([]item, 0, len(infos)+2)
	items = append(items, item{name: ".", info: self}, item{name: "..", info: parent})
	for _, fi := range infos {
		items = append(items, s.item(fi.Name(), path.Join(dir, fi.Name()), fi))
	}
	slices.SortFunc(items[2:], func(a, b item) int { return cmp.Compare(a.name, b.name) })
	return items, nil
}

// item describes the object called name in the root.
func (s *session) item(shown, name string, fi fs.FileInfo) item {
	it := item{name: shown, info: fi}
	if fi.Mode()&fs.ModeSymlink != 0 {
		it.target, _ = s.srv.root.Readlink(name) // "" if it has gone meanwhile
	}
	return it
}

// flags takes the options off an argument such as "-la dir".
func flags(arg string) (options, rest string) {
	for strings.HasPrefix(arg, "-") {
		var word string
		word, arg, _ = strings.Cut(arg, " ")
		options += word[1:]
	}
	return options, arg
}

// visible drops the names that begin with a dot.
func visible(items []item) []item {
	return slices.DeleteFunc(items, func(it item) bool { return strings.HasPrefix(it.name, ".") })
}

// list returns the items of "LIST arg": a directory's content, or the object.
func (s *session) list(arg string, all bool) ([]item, error) {
	fi, err := s.stat(arg)
	if err != nil || !fi.IsDir() {
		if fi, err = s.lstat(arg); err != nil {
			return nil, err
		}
		return []item{s.item(arg, s.name(arg), fi)}, nil
	}
	items, err := s.readDir(arg)
	if !all {
		items = visible(items)
	}
	return items, err
}

// cmdList sends ls -l lines. As with ProFTPD, a name that is not there gives
// an empty listing and then 450, and a directory that may not be read an empty
// one and 226.
func (s *session) cmdList() Reply {
	options, arg := flags(s.arg)
	items, err := s.list(arg, strings.Contains(options, "a"))
	var b bytes.Buffer
	for _, it := range items {
		b.WriteString(it.long(time.Now()) + "\r\n")
	}
	return s.transfer(s.opening("file list"), func(c net.Conn) Reply {
		if errors.Is(err, fs.ErrNotExist) {
			return replyf(450, "%s: %s", arg, reason(err))
		}
		_, err := c.Write(b.Bytes())
		return moved(err)
	})
}

// cmdNlst sends names; those in another directory with its path before them.
func (s *session) cmdNlst() Reply {
	options, arg := flags(s.arg)
	items, err := s.list(arg, strings.Contains(options, "a"))
	if err != nil {
		return replyf(450, "%s: %s", arg, reason(err))
	}
	var prefix string
	if fi, err := s.stat(arg); arg != "" && err == nil && fi.IsDir() {
		prefix = strings.TrimSuffix(arg, "/") + "/"
	}
	var b bytes.Buffer
	for _, it := range items {
		b.WriteString(prefix + it.name + "\r\n")
	}
	return s.transfer(s.opening("file list"), func(c net.Conn) Reply {
		_, err := c.Write(b.Bytes())
		return moved(err)
	})
}

// cmdStat shows the session, or a listing within the reply.
func (s *session) cmdStat() Reply {
	options, arg := flags(s.arg)
	if s.arg == "" {
		return replyf(211, "Status of the FTP server\n Connected from %s\n Logged in as %s\nEnd of status",
			addrPort(s.conn.RemoteAddr()).Addr(), s.user)
	}
	items, err := s.list(arg, true)
	if err != nil {
		return replyf(450, "%s: %s", arg, reason(err))
	}
	code := 213 // of a file; 212 of a directory (RFC 959, section 4.1.3)
	if fi, err := s.stat(arg); err == nil && fi.IsDir() {
		code = 212
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Status of %s:\n", arg)
	for _, it := range items {
		if !strings.Contains(options, "A") || it.name != "." && it.name != ".." {
			b.WriteString(" " + it.long(time.Now()) + "\n")
		}
	}
	return Reply{Code: code, Text: b.String() + "End of status"}
}

// long returns the line of GNU ls -ln, with times in GMT.
func (it item) long(now time.Time) string {
	o := ownerOf(it.info)
	t := it.info.ModTime().UTC()
	when := t.Format("Jan _2 15:04")
	if now.Sub(t).Abs() > 180*24*time.Hour {
		when = t.Format("Jan _2  2006")
	}
	size := it.info.Size()
	if it.info.Mode()&(fs.ModeDevice|fs.ModeCharDevice) != 0 {
		size = 0
	}
	line := fmt.Sprintf("%s %3d %-8d %-8d %8d %s %s", lsMode(it.info.Mode()), o.links, o.uid, o.gid, size, when, it.name)
	if it.target != "" {
		line += " -> " + it.target
	}
	return line
}
