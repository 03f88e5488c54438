package ftp

import (
	"context"
	"io"
	"path"

	"ftpfs/conn"
	"ftpfs/conn/wire"
)

// Append implements conn.Session. Size and time are asked for in the packet
// of APPE: if they are wrong, it gets no byte, which changes nothing.
func (s *session) Append(ctx context.Context, p string, offset int64, r io.Reader, c conn.Commit) (conn.Entry, error) {
	end, err := s.begin(ctx, "APPE", p)
	if err != nil {
		return conn.Entry{}, err
	}
	defer end()
	if c.RenameTo != "" {
		return conn.Entry{}, unsupported("APPE", p)
	}
	var wrong error
	s.leadCheck(p, func(is conn.Entry, err error) bool {
		switch {
		case err != nil:
			wrong = err
		case is.Size != offset, c.Base.State != conn.AnyVersion && !is.Version().Same(c.Base):
			wrong = &conn.Error{Op: "APPE", Path: p, Outcome: conn.Refused, Err: conn.ErrConflict}
		}
		return wrong == nil
	})
	src := &source{r: r, ctl: s.ctl}
	err = s.lib.Append(p, src)
	if wrong != nil {
		return conn.Entry{}, s.explain("SIZE", p, wrong)
	}
	sent, err := s.uploaded("APPE", p, src, err)
	if err != nil {
		return conn.Entry{}, err
	}
	e, err := s.commit(p, offset+sent, c)
	if err != nil {
		return conn.Entry{}, err
	}
	e.Name, e.Kind = path.Base(p), conn.KindFile
	return e, nil
}

// leadCheck asks what is at p in the packet of the next transfer, which goes
// on only if check likes the answer.
func (s *session) leadCheck(p string, check func(conn.Entry, error) bool) {
	q, ask := s.ask(p), packet{s: s}
	q.addTo(&ask)
	for i, line := range ask.lines {
		s.ctl.Lead(line, func(r wire.Reply) bool {
			ask.then[i](r)
			return i < len(ask.lines)-1 || check(q.entry())
		})
	}
}
