package ftp

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"path"
	"strconv"
	"strings"
	"time"

	"ftpfs/conn"
	"ftpfs/conn/wire"
)

// Stat implements conn.Session.
func (s *session) Stat(ctx context.Context, p string) (conn.Entry, error) {
	r, err := s.StatBatch(ctx, []string{p})
	if err != nil {
		return conn.Entry{}, err
	}
	return r[0].Entry, r[0].Err
}

// StatBatch implements conn.Session. What SIZE and MDTM leave open (they
// refuse directories, some without a word) is asked in a second round trip.
func (s *session) StatBatch(ctx context.Context, paths []string) ([]conn.StatResult, error) {
	end, err := s.start(ctx, "SIZE", paths)
	if err != nil {
		return nil, err
	}
	defer end()
	results := make([]conn.StatResult, len(paths))
	asked := make([]*question, len(paths))
	first := packet{s: s}
	for i, p := range paths {
		if results[i].Err = s.check("SIZE", p); results[i].Err == nil {
			asked[i] = s.ask(p)
			asked[i].addTo(&first)
		}
	}
	if err := first.send(); err != nil {
		return nil, at("SIZE", firstOf(paths), conn.NotExecuted, err)
	}
	second := packet{s: s}
	for i, q := range asked {
		if q == nil {
			continue
		}
		results[i].Entry, results[i].Err = q.entry()
		if results[i].Err != nil && !q.final(results[i].Err) {
			s.askDir(&second, q.path, &results[i])
		}
	}
	if err := second.send(); err != nil {
		return nil, at("SIZE", firstOf(paths), conn.NotExecuted, err)
	}
	return results, nil
}

// Times implements conn.Session.
func (s *session) Times(ctx context.Context, paths []string) ([]time.Time, error) {
	end, err := s.start(ctx, "MDTM", paths)
	if err != nil {
		return nil, err
	}
	defer end()
	times := make([]time.Time, len(paths))
	p := packet{s: s}
	for i, path := range paths {
		if s.check("MDTM", path) != nil {
			continue
		}
		p.add("MDTM "+path, func(r wire.Reply) {
			if t, ok := parseMDTM(r); ok {
				times[i] = t
			}
		})
	}
	if err := p.send(); err != nil {
		return nil, at("MDTM", firstOf(paths), conn.NotExecuted, err)
	}
	return times, nil
}

func firstOf(paths []string) string {
	if len(paths) == 0 {
		return ""
	}
	return paths[0]
}

// askDir adds the question whether path is a directory, or whatever MLST says
// it is, to p. res holds what SIZE said.
func (s *session) askDir(p *packet, path string, res *conn.StatResult) {
	if s.hasMLST() {
		p.add("MLST "+path, func(r wire.Reply) {
			if e, err := parseMLST(path, r); err == nil {
				*res = conn.StatResult{Entry: e}
			} else if reason := s.refusal("MLST", path, r); reason != nil && !isVague(reason) {
				res.Err = reason
			}
		})
	}
	p.add("CWD "+path, func(r wire.Reply) {
		reason := s.refusal("CWD", path, r)
		switch {
		case res.Err == nil: // MLST has told
		case errors.Is(reason, iofs.ErrPermission) && !isVague(reason): // below a directory that may not be entered
			res.Err = reason
		case reason == nil:
			*res = conn.StatResult{Entry: conn.Entry{Name: baseOf(path), Kind: conn.KindDir, Size: -1}}
		case errors.Is(reason, iofs.ErrNotExist) && isVague(res.Err): // also where CWD gives no reason: neither file nor directory
			res.Err = reason
		}
	})
}

// question asks what is at a path: MLST where the server does not list SIZE
// (goftp.io's answers SIZE of directories), else SIZE and MDTM.
type question struct {
	s          *session
	path       string
	size, mdtm wire.Reply // Code 0: not asked
	mlst       wire.Reply
}

func (s *session) ask(path string) *question { return &question{s: s, path: path} }

func (q *question) addTo(p *packet) { q.addPart(p, true) }

// addPart is addTo for who may not need the time.
func (q *question) addPart(p *packet, time bool) {
	if q.s.hasMLST() && !q.s.feat.has("SIZE") {
		p.add("MLST "+q.path, func(r wire.Reply) { q.mlst = r })
		return
	}
	p.add("SIZE "+q.path, func(r wire.Reply) { q.size = r })
	if time {
		p.add("MDTM "+q.path, func(r wire.Reply) { q.mdtm = r })
	}
}

// leads has the question sent with the next transfer's command, before it.
func (q *question) leads() {
	take := func(to *wire.Reply) func(wire.Reply) bool {
		return func(r wire.Reply) bool { *to = r; return true }
	}
	if q.s.hasMLST() && !q.s.feat.has("SIZE") {
		q.s.ctl.Lead("MLST "+q.path, take(&q.mlst))
		return
	}
	q.s.ctl.Lead("SIZE "+q.path, take(&q.size))
	q.s.ctl.Lead("MDTM "+q.path, take(&q.mdtm))
}

// entry returns the answer: of a file, or with MLST of anything.
func (q *question) entry() (conn.Entry, error) {
	if q.mlst.Code != 0 {
		e, err := parseMLST(q.path, q.mlst)
		if refused := q.s.refusal("MLST", q.path, q.mlst); refused != nil {
			return conn.Entry{}, refused
		}
		return e, err
	}
	if err := q.s.refusal("SIZE", q.path, q.size); err != nil {
		return conn.Entry{}, err
	}
	size, err := strconv.ParseInt(strings.TrimSpace(q.size.Text()), 10, 64)
	if err != nil || size < 0 {
		return conn.Entry{}, q.s.fail("SIZE", q.path, fmt.Errorf("%w: %q to SIZE", conn.ErrProtocol, q.size))
	}
	e := conn.Entry{Name: baseOf(q.path), Kind: conn.KindFile, Size: size}
	if t, ok := parseMDTM(q.mdtm); ok {
		e.Time, e.Precision = t, time.Second
	}
	return e, nil
}

// final reports whether err says for certain that nothing is at the path.
func (q *question) final(err error) bool {
	return q.mlst.Code != 0 || errors.Is(err, iofs.ErrNotExist) && !isVague(err)
}

// parseMDTM reads the time of an MDTM reply. Fractions of a second, which few
// servers give and none sets, are dropped.
func parseMDTM(r wire.Reply) (time.Time, bool) {
	text, _, _ := strings.Cut(strings.TrimSpace(r.Text()), ".")
	if len(text) == len(timeFormat)+1 && strings.HasPrefix(text, "19") { // 19124: some count the years from 1900 behind a 19
		n, err := strconv.Atoi(text[2:5])
		text = strconv.Itoa(1900+n) + text[5:]
		if err != nil {
			return time.Time{}, false
		}
	}
	t, err := time.Parse(timeFormat, text)
	return t, r.OK() && err == nil
}

// parseMLST reads the entry of an MLST reply (RFC 3659, 7.2): the facts are
// those of an MLSD line, the name is a path that we know better.
func parseMLST(p string, r wire.Reply) (conn.Entry, error) {
	if !r.OK() || len(r.Lines) < 3 {
		return conn.Entry{}, fmt.Errorf("%w: %q to MLST", conn.ErrProtocol, r)
	}
	line := strings.TrimLeft(r.Lines[1], " ")
	facts, _, ok := strings.Cut(line, "; ")
	if !ok {
		facts, _, _ = strings.Cut(line, " ")
		facts = strings.TrimSuffix(facts, ";")
	}
	// The kinds cdir and pdir are dropped by the parser as "." and "..", but
	// goftp.io's and others say so of any directory that MLST is asked for.
	e, err := parseMLSD(dirKind(facts) + "; " + "x")
	e.Name = baseOf(p)
	return e, err
}

// dirKind makes cdir and pdir plain directories.
func dirKind(facts string) string {
	parts := strings.Split(facts, ";")
	for i, f := range parts {
		if strings.EqualFold(f, "type=cdir") || strings.EqualFold(f, "type=pdir") {
			parts[i] = "type=dir"
		}
	}
	return strings.Join(parts, ";")
}

// baseOf returns the last component of a path, "" for the root.
func baseOf(p string) string {
	if p == "/" {
		return ""
	}
	return path.Base(p)
}

// dirOf returns the directory that a path is in.
func dirOf(p string) string { return path.Dir(p) }

// isVague reports whether err is a refusal without a reason.
func isVague(err error) bool {
	var e *conn.Error
	return errors.As(err, &e) && e.Vague()
}
