package ftp

import (
	"crypto/rand"
	"fmt"
	"path"
	"strings"

	"ftpfs/conn"
	"ftpfs/conn/wire"
)

// A risk is a kind of names that some servers store as others: Windows drops
// spaces and dots at the end, and takes what follows a colon for another thing;
// Pure-FTPd makes spaces and control characters underscores.
type risk struct {
	what  string
	has   func(name string) bool
	probe string // a name of the kind
}

func risks() []risk {
	any := func(bytes string) func(string) bool {
		return func(name string) bool { return strings.ContainsAny(name, bytes) }
	}
	return []risk{
		{"a space at the beginning", func(n string) bool { return strings.HasPrefix(n, " ") }, " x"},
		{"a space at the end", func(n string) bool { return strings.HasSuffix(n, " ") }, "x "},
		{"a dot at the end", func(n string) bool { return strings.HasSuffix(n, ".") }, "x."},
		{"a control character", func(n string) bool {
			return strings.ContainsFunc(n, func(r rune) bool { return r < ' ' || r == 0x7f })
		}, "x\ty"},
		{"a backslash", any(`\`), `x\y`},
		{"a colon", any(":"), "x:y"},
		{"one of " + `*?"<>|`, any(`*?"<>|`), `x*?"<>|y`},
		{"the byte 0xFF", func(n string) bool { return strings.IndexByte(n, 0xff) >= 0 }, "x\xffy"},
	}
}

// checkNew refuses paths that the server would create under another name by
// the verb: MKD, STOR or RNTO. Files that have such a name can be read and
// removed. Of servers that are not known it is found out, once for each kind of
// names and verb. The verb that it is for has begun.
func (s *session) checkNew(verb, p string) error {
	name, err := s.ctl.OnWire(path.Base(p))
	if err != nil {
		return &conn.Error{Op: verb, Path: p, Outcome: conn.Refused, Err: err}
	}
	changes := ""
	if s.product.mapsNames && strings.HasSuffix(name, " ") {
		changes = "a space at the end"
	}
	for _, r := range risks() {
		if !s.product.unknown || changes != "" || !r.has(name) {
			continue
		}
		v := s.srv.keeps(verb + " " + r.what)
		if v == untried {
			if v, err = s.tryName(verb, path.Dir(p), r.probe); err != nil {
				return at(verb, p, conn.NotExecuted, err)
			}
			s.srv.setKeeps(verb+" "+r.what, v)
		}
		if v == fails {
			changes = r.what
		}
	}
	if changes == "" {
		return nil
	}
	err = fmt.Errorf("%w: this server changes %s", conn.ErrInvalidName, changes)
	return &conn.Error{Op: verb, Path: p, Outcome: conn.Refused, Err: err}
}

// tryName makes something called name by verb in a directory of our own in dir,
// and looks at what came of it. A name that is refused is not changed: the
// user's will be refused, too. Nothing is known (untried) where there can be no
// such directory.
func (s *session) tryName(verb, dir, name string) (verdict, error) {
	// As the temporary names of uploads are, so that nobody is shown it.
	scratch := path.Join(dir, ".ftpfs-probe-"+strings.ToLower(rand.Text()[:13])+".tmp")
	name = s.ctl.Decode(name)
	var made, done wire.Reply
	p := packet{s: s}
	p.add("MKD "+scratch, func(r wire.Reply) { made = r })
	switch verb {
	case "MKD":
		p.add("MKD "+scratch+"/"+name, func(r wire.Reply) { done = r })
	case "RNTO":
		p.add("MKD "+scratch+"/from", ignore)
		p.add("RNFR "+scratch+"/from", ignore)
	}
	if err := p.send(); err != nil || !made.OK() {
		return untried, err
	}
	var err error
	switch verb {
	case "RNTO":
		done, err = s.ctl.Command("RNTO " + scratch + "/" + name)
	case "STOR":
		_, err = s.upload("STOR", scratch+"/"+name, strings.NewReader(""))
		if _, done = s.ctl.Last(); conn.OutcomeOf(err) == conn.Refused {
			err = nil
		}
	}
	var l conn.Listing
	if err == nil {
		l, err = s.list(scratch, conn.Coming{})
	}
	clean := packet{s: s}
	clean.add("CWD /", ignore) // some servers keep a directory that is the current one
	v := works
	for _, e := range l.Entries {
		if done.OK() && e.Name != name && e.Name != "from" {
			v = fails
		}
		if e.Kind == conn.KindDir {
			clean.add("RMD "+scratch+"/"+e.Name, ignore)
		} else {
			clean.add("DELE "+scratch+"/"+e.Name, ignore)
		}
	}
	clean.add("RMD "+scratch, ignore)
	if s.ctl.Err() == nil {
		if cleaned := clean.send(); err == nil {
			err = cleaned
		}
	}
	if err == nil && done.OK() && len(l.Entries) == 0 {
		v = fails // it is nowhere to be seen
	}
	return v, err
}
