package server

import (
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// siteSymlink is ProFTPD's: the target must exist, and is a path from the
// current directory, not from the link's.
func (s *session) siteSymlink(arg string) Reply {
	target, link, ok := strings.Cut(arg, " ")
	if !ok || strings.Contains(link, " ") {
		return Reply{Code: 500, Text: "'SITE SYMLINK' not understood"}
	}
	if s.srv.cfg.ReadOnly {
		return s.refuse(link, syscall.EROFS)
	}
	_, err := s.stat(target)
	if err == nil {
		// os.Root does not follow absolute targets.
		way, _ := filepath.Rel(filepath.Dir(s.abs(link)), s.abs(target)) // both are absolute
		err = s.srv.root.Symlink(way, s.name(link))
	}
	if err != nil {
		return s.refuse("SYMLINK "+arg, err)
	}
	return Reply{Code: 200, Text: "SITE SYMLINK command successful"}
}

// siteUtime is ProFTPD's "SITE UTIME path atime mtime ctime UTC"; the path may
// hold spaces.
func (s *session) siteUtime(arg string) Reply {
	words := strings.Split(arg, " ")
	n := len(words) - 4
	if n < 1 || words[n+3] != "UTC" {
		return Reply{Code: 500, Text: "'SITE UTIME' not understood"}
	}
	name := strings.Join(words[:n], " ")
	if s.srv.cfg.ReadOnly {
		return s.refuse(name, syscall.EROFS)
	}
	t, err := time.Parse(timeFormat, words[n+1])
	if err == nil {
		err = s.srv.root.Chtimes(s.name(name), time.Time{}, t)
	}
	if err != nil {
		return s.refuse(name, err)
	}
	return Reply{Code: 200, Text: "SITE UTIME command successful"}
}
