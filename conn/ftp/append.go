package ftp

import (
	"context"
	"io"
	"path"

	"ftpfs/conn"
	"ftpfs/conn/wire"
)

// Append implements conn.Session. Size and time are asked for first. Where the
// data goes out with APPE, that is no wait more than in one packet with it, and
// none at all while the data connection is being made; else it is in that
// packet, and if they are wrong APPE gets no byte, which changes nothing.
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
	q := s.ask(p)
	fits := func() bool {
		switch is, err := q.entry(); {
		case err != nil:
			wrong = err
		case is.Size != offset, c.Base.State != conn.AnyVersion && !is.Version().Same(c.Base):
			wrong = &conn.Error{Op: "APPE", Path: p, Outcome: conn.Refused, Err: conn.ErrConflict}
		}
		return wrong == nil
	}
	if s.ctl.DataFirst() {
		ask := packet{s: s}
		q.addTo(&ask)
		if err := ask.send(); err != nil {
			return conn.Entry{}, at("APPE", p, conn.NotExecuted, err)
		}
		if !fits() {
			return conn.Entry{}, s.explain("SIZE", p, wrong)
		}
	} else {
		q.lead(fits)
	}
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

// lead has q asked in the packet of the next transfer, which goes on only if
// check likes the answer.
func (q *question) lead(check func() bool) {
	ask := packet{s: q.s}
	q.addTo(&ask)
	for i, line := range ask.lines {
		q.s.ctl.Lead(line, func(r wire.Reply) bool {
			ask.then[i](r)
			return i < len(ask.lines)-1 || check()
		})
	}
}
