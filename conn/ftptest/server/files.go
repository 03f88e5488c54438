package server

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// timeFormat is that of MDTM, MFMT and the facts: UTC (RFC 3659, section 2.3).
const timeFormat = "20060102150405"

// abs returns the absolute path that the client means. It never leaves "/".
func (s *session) abs(arg string) string {
	if !strings.HasPrefix(arg, "/") {
		arg = s.cwd + "/" + arg
	}
	return path.Clean(arg)
}

// name returns the name of a path for os.Root.
func (s *session) name(arg string) string {
	p := s.abs(arg)
	if p == "/" {
		return "."
	}
	if s.srv.cfg.FoldCase {
		return s.folded(p[1:])
	}
	return p[1:]
}

// folded returns a name as it is spelled in the folder, as far as it is there.
func (s *session) folded(name string) string {
	dir, last := path.Split(name)
	if dir = path.Clean(dir); dir != "." {
		dir = s.folded(dir)
	}
	f, err := s.srv.root.Open(dir)
	if err != nil {
		return path.Join(dir, last)
	}
	defer f.Close()
	there, _ := f.Readdirnames(-1) // of what is no directory there are none
	if !slices.Contains(there, last) {
		for _, other := range there {
			if strings.EqualFold(other, last) {
				last = other
			}
		}
	}
	return path.Join(dir, last)
}

// created is the argument of a command that makes something, as it is stored.
func (s *session) created(arg string) string {
	if as := s.srv.cfg.StoredAs; as != nil {
		return as(arg)
	}
	return arg
}

func (s *session) stat(arg string) (fs.FileInfo, error)  { return s.srv.root.Stat(s.name(arg)) }
func (s *session) lstat(arg string) (fs.FileInfo, error) { return s.srv.root.Lstat(s.name(arg)) }

// refuse is the reply to a command that failed on a path.
func (s *session) refuse(arg string, err error) Reply {
	return replyf(550, "%s: %s", arg, reason(err))
}

func (s *session) readOnly() Reply { return s.refuse(s.arg, syscall.EROFS) }

// reason returns what strerror(3) says of err. Errors that are no errno are
// those of os.Root for links that lead out.
func reason(err error) string {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		errno = syscall.EACCES
	}
	text := errno.Error()
	return strings.ToUpper(text[:1]) + text[1:]
}

// quoted returns a path as in a 257: quotes are doubled (RFC 959, appendix II).
func quoted(p string) string { return `"` + strings.ReplaceAll(p, `"`, `""`) + `"` }

func (s *session) cmdPwd() Reply {
	return replyf(257, "%s is the current directory", quoted(s.cwd))
}

func (s *session) cmdCwd() Reply { return s.chdir(s.arg) }

func (s *session) cmdCdup() Reply { return s.chdir("..") }

func (s *session) chdir(arg string) Reply {
	fi, err := s.stat(arg)
	switch {
	case err != nil:
	case !fi.IsDir():
		err = syscall.ENOTDIR
	case !accessible(fi, 1):
		err = syscall.EACCES
	}
	if err != nil {
		return s.refuse(arg, err)
	}
	s.cwd = s.abs(arg)
	return replyf(250, "%s command successful", s.verb)
}

func (s *session) cmdSize() Reply {
	if s.ascii {
		return Reply{Code: 550, Text: "SIZE not allowed in ASCII mode"}
	}
	fi, err := s.stat(s.arg)
	switch {
	case err != nil:
		return s.refuse(s.arg, err)
	case !fi.Mode().IsRegular():
		return replyf(550, "%s: not a regular file", s.arg)
	}
	return replyf(213, "%d", fi.Size())
}

func (s *session) cmdMdtm() Reply {
	fi, err := s.stat(s.arg)
	switch {
	case err != nil:
		return s.refuse(s.arg, err)
	case !fi.Mode().IsRegular():
		return replyf(550, "%s: not a plain file", s.arg)
	}
	return Reply{Code: 213, Text: fi.ModTime().UTC().Format(timeFormat)}
}

// cmdMfmt sets the modification time (draft-somers-ftp-mfxx-04).
func (s *session) cmdMfmt() Reply {
	stamp, name, ok := strings.Cut(s.arg, " ")
	if !ok {
		return Reply{Code: 501, Text: "Invalid number of parameters"}
	}
	t, err := time.Parse(timeFormat, stamp)
	if err != nil {
		return replyf(501, "%s: Invalid argument", stamp)
	}
	err = s.srv.root.Chtimes(s.name(name), time.Time{}, t)
	switch {
	case errors.Is(err, syscall.EPERM):
		return replyf(501, "%s: %s", name, reason(err))
	case err != nil:
		return s.refuse(name, err)
	}
	return replyf(213, "Modify=%s; %s", stamp, name)
}

// siteChmod sets permissions given in octal.
func (s *session) siteChmod(arg string) Reply {
	octal, name, ok := strings.Cut(arg, " ")
	if !ok {
		return Reply{Code: 500, Text: "'SITE CHMOD' not understood"}
	}
	if s.srv.cfg.ReadOnly {
		return s.refuse(name, syscall.EROFS)
	}
	bits, err := strconv.ParseUint(octal, 8, 12)
	if err != nil {
		return replyf(550, "'%s': invalid mode", octal)
	}
	if err := s.srv.root.Chmod(s.name(name), fileMode(uint32(bits))); err != nil {
		return s.refuse(name, err)
	}
	return Reply{Code: 200, Text: "SITE CHMOD command successful"}
}

func (s *session) cmdDele() Reply {
	fi, err := s.lstat(s.arg)
	if err == nil && fi.IsDir() {
		err = syscall.EISDIR
	}
	if err == nil {
		err = s.srv.root.Remove(s.name(s.arg))
	}
	if err != nil {
		return s.refuse(s.arg, err)
	}
	return Reply{Code: 250, Text: "DELE command successful"}
}

func (s *session) cmdMkd() Reply {
	s.arg = s.created(s.arg)
	if err := s.srv.root.Mkdir(s.name(s.arg), 0o777); err != nil {
		return s.refuse(s.arg, err)
	}
	return replyf(257, "%s - Directory successfully created", quoted(s.abs(s.arg)))
}

func (s *session) cmdRmd() Reply {
	fi, err := s.lstat(s.arg)
	if err == nil && !fi.IsDir() {
		err = syscall.ENOTDIR
	}
	if err == nil {
		err = s.srv.root.Remove(s.name(s.arg))
	}
	if err != nil {
		return s.refuse(s.arg, err)
	}
	return replyf(250, "%s command successful", s.verb)
}

func (s *session) cmdRnfr() Reply {
	if _, err := s.lstat(s.arg); err != nil {
		s.from = ""
		return s.refuse(s.arg, err)
	}
	s.from = s.abs(s.arg)
	return Reply{Code: 350, Text: "File or directory exists, ready for destination name"}
}

func (s *session) cmdRnto() Reply {
	if s.from == "" {
		return Reply{Code: 503, Text: "Bad sequence of commands"}
	}
	from := s.from
	s.from = ""
	if err := s.rename(from, s.abs(s.created(s.arg))); err != nil {
		return s.refuse(s.arg, err)
	}
	return Reply{Code: 250, Text: "Rename successful"}
}

// rename does what rename(2) does. os.Root refuses to replace an empty
// directory, so that one is removed first.
func (s *session) rename(from, to string) error {
	source, err := s.lstat(from)
	if err != nil {
		return err
	}
	if s.srv.cfg.FoldCase && strings.EqualFold(from, to) {
		dir, last := path.Split(to)
		return s.srv.root.Rename(s.name(from), path.Join(s.name(dir), last))
	}
	if target, err := s.lstat(to); err == nil && target.IsDir() && from != to {
		if !source.IsDir() {
			return syscall.EPERM // as ProFTPD; rename(2) says EISDIR
		}
		if strings.HasPrefix(to, from+"/") {
			return syscall.EINVAL
		}
		if err := s.srv.root.Remove(s.name(to)); err != nil {
			return fmt.Errorf("replace %s: %w", to, err)
		}
	}
	return s.srv.root.Rename(s.name(from), s.name(to))
}
