package server

import (
	"errors"
	"io"
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

// siteCpfr and siteCpto are those of ProFTPD's mod_copy, for files.
func (s *session) siteCpfr(arg string) Reply {
	s.source = ""
	if _, err := s.stat(arg); err != nil {
		return s.refuse(arg, err)
	}
	s.source = s.abs(arg)
	return Reply{Code: 350, Text: "File or directory exists, ready for destination name"}
}

func (s *session) siteCpto(arg string) Reply {
	if s.source == "" {
		return Reply{Code: 503, Text: "Bad sequence of commands"}
	}
	if s.srv.cfg.ReadOnly {
		return s.refuse(arg, syscall.EROFS)
	}
	err := s.copy(s.source, arg)
	if s.source = ""; err != nil {
		return s.refuse(arg, err)
	}
	return Reply{Code: 250, Text: "Copy successful"}
}

func (s *session) copy(from, to string) error {
	src, err := s.srv.root.Open(s.name(from))
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := s.srv.root.Create(s.name(to))
	if err != nil {
		return err
	}
	_, err = io.Copy(dst, src)
	return errors.Join(err, dst.Close())
}
