package ftp

import (
	"context"
	"errors"
	"io"
	"strings"

	"ftpfs/conn"
)

// What TryOut uploads: a file, what is added to it, and what is written into it.
const (
	scratch  = "0123456789"
	addition = "abc"
	patch    = "XY"
	patchAt  = 5
)

// Abilities implements conn.Session.
func (s *session) Abilities() (conn.Abilities, bool) { return s.srv.facts.abilities() }

// TryOut implements conn.Session. goftp.io's server overwrites at APPE and
// appends at REST, Pure-FTPd cuts the file off behind what is written at REST,
// others refuse either.
func (s *session) TryOut(ctx context.Context, path string) (conn.Abilities, error) {
	var a conn.Abilities
	end, err := s.begin(ctx, "STOR", path)
	if err != nil {
		return a, err
	}
	defer end()
	if _, err := s.upload("STOR", path, strings.NewReader(scratch)); err != nil {
		return a, err
	}
	defer s.do("DELE", path, "DELE "+path)
	is := scratch
	if a.Appends, err = s.tried(path, scratch+addition, func() error {
		_, err := s.upload("APPE", path, strings.NewReader(addition))
		return err
	}); err != nil {
		return a, err
	}
	if a.Appends {
		is += addition
	} else if _, err := s.upload("STOR", path, strings.NewReader(scratch)); err != nil {
		return a, err
	}
	a.Resumes, err = s.tried(path, is[:patchAt]+patch+is[patchAt+len(patch):], func() error {
		src := &source{r: strings.NewReader(patch), ctl: s.ctl}
		_, err := s.uploaded("STOR", path, src, s.lib.StorFrom(path, src, patchAt))
		return err
	})
	if err == nil {
		s.srv.facts.setAbilities(a)
	}
	return a, err
}

// tried reports whether the file at path holds want after change. A refusal,
// of whatever kind, is a no; the error is that of a session that broke.
func (s *session) tried(path, want string, change func() error) (bool, error) {
	if err := change(); err != nil {
		var e *conn.Error
		if errors.As(err, &e) && e.Code != 0 {
			err = nil
		}
		return false, err
	}
	resp, err := s.lib.Retr(path)
	if err != nil {
		return false, s.transferError("RETR", path, err)
	}
	got, err := io.ReadAll(io.LimitReader(resp, int64(len(want))+1))
	if closed := resp.Close(); err == nil && closed != nil {
		return false, s.transferError("RETR", path, closed)
	}
	return string(got) == want && err == nil, err
}
