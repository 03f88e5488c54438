package ftptest

import (
	"net"
	"time"

	"ftpfs/conn/ftptest/server"
)

// session is what is known of a session. The command, its faults and the
// trail belong to whoever executes the command: the hooks come one at a time.
type session struct {
	srv     *Server
	id      int
	control *conn
	ended   bool // guarded by Server.mu

	greeted bool
	verb    string
	arg     string
	active  []*armed // the faults of the command being executed
	trail   string   // sent behind the reply that is sent next
}

// hooks returns the hooks for a server whose sessions are numbered from base.
func (s *Server) hooks(base int) server.Hooks {
	get := func(id int) *session {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.sessions[base+id]
	}
	return server.Hooks{
		WrapControl: func(id int, c net.Conn) net.Conn { return s.begin(base+id, c) },
		WrapData:    func(id int, c net.Conn) net.Conn { return get(id).wrapData(c) },
		OnCommand:   func(id int, verb, arg string) *server.Reply { return get(id).onCommand(verb, arg) },
		OnReply: func(id int, _, _ string, r server.Reply) server.Reply {
			return get(id).onReply(r)
		},
	}
}

// begin opens a session. It ends when the server closes its connection.
func (s *Server) begin(id int, c net.Conn) net.Conn {
	ses := &session{srv: s, id: id}
	ses.control = newConn(c)
	ses.control.gates = func(d Direction) []*gate { return s.controlGates(id, d) }
	ses.control.trail = func() string {
		t := ses.trail
		ses.trail = ""
		return t
	}
	ses.control.closed = func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		ses.ended = true
		s.changedLocked()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = max(s.last, id)
	s.sessions[id] = ses
	s.changedLocked()
	return ses.control
}

func (s *Server) changedLocked() {
	close(s.changed)
	s.changed = make(chan struct{})
}

func (ses *session) onCommand(verb, arg string) *server.Reply {
	s := ses.srv
	s.mu.Lock()
	s.log = append(s.log, Command{Session: ses.id, Verb: verb, Arg: arg, At: time.Now()})
	s.changedLocked()
	s.mu.Unlock()
	ses.start(verb, arg)
	for _, a := range ses.active {
		if a.command == nil {
			continue
		}
		if r := a.command(ses, a); r != nil {
			return r
		}
	}
	return nil
}

// start chooses the faults of a command and counts them as used.
func (ses *session) start(verb, arg string) {
	ses.verb, ses.arg, ses.active = verb, arg, nil
	s := ses.srv
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.faults {
		if a.onCommands() && a.matches(ses.id, verb, arg) && a.takeLocked() {
			ses.active = append(ses.active, a)
		}
	}
}

func (ses *session) onReply(r server.Reply) server.Reply {
	if !ses.greeted {
		ses.greeted = true
		ses.start(Greeting, "")
	}
	for _, a := range ses.active {
		if a.reply != nil && !a.gone() {
			r = a.reply(ses, a, r)
		}
	}
	return r
}

// wrapData puts the faults of the command on its data connection: those that
// change what is sent outside of those that count bytes.
func (ses *session) wrapData(inner net.Conn) net.Conn {
	var gates []*gate
	for _, a := range ses.active {
		if a.data != nil {
			gates = append(gates, a.data(a))
		}
	}
	if len(gates) > 0 {
		c := newConn(inner)
		c.gates = func(Direction) []*gate { return gates }
		inner = c
	}
	for _, a := range ses.active {
		if a.edit != nil {
			inner = &editor{Conn: inner, edit: a.edit}
		}
	}
	if ses.srv.abrupt {
		inner = struct{ net.Conn }{inner} // without CloseWrite
	}
	return inner
}

// controlGates returns the gates on a control connection.
func (s *Server) controlGates(id int, d Direction) []*gate {
	s.mu.Lock()
	defer s.mu.Unlock()
	var gates []*gate
	for _, a := range s.faults {
		if a.control == nil || a.direction != d || a.session != 0 && a.session != id {
			continue
		}
		if a.gates[id] == nil && a.takeLocked() {
			a.gates[id] = a.control(a)
		}
		if g := a.gates[id]; g != nil {
			gates = append(gates, g)
		}
	}
	return gates
}

// ordinal returns how many open sessions are older than ses.
func (ses *session) ordinal() int {
	n := 0
	for _, other := range ses.srv.openSessions() {
		if other.id < ses.id {
			n++
		}
	}
	return n
}
