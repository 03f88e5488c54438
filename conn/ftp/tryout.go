package ftp

import (
	"context"
	"errors"
	"strings"

	"ftpfs/conn"
)

// What TryOut uploads: a file, and what is added to it.
const (
	scratch  = "0123456789"
	addition = "abc"
)

// Abilities implements conn.Session.
func (s *session) Abilities() (a conn.Abilities, tried bool) {
	v := s.srv.facts.of(appends)
	return conn.Abilities{Appends: v == works}, v != untried
}

// TryOut implements conn.Session. goftp.io's server overwrites at APPE, others
// refuse it; the size tells.
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
	var refused *conn.Error
	if _, err := s.upload("APPE", path, strings.NewReader(addition)); err != nil && (!errors.As(err, &refused) || refused.Code == 0) {
		return a, err
	}
	q, p := s.ask(path), packet{s: s}
	q.addTo(&p)
	p.add("DELE "+path, ignore)
	if err := p.send(); err != nil {
		return a, at("APPE", path, conn.Unknown, err)
	}
	e, err := q.entry()
	a.Appends = err == nil && e.Size == int64(len(scratch+addition))
	s.srv.facts.learn(appends, a.Appends)
	return a, nil
}
