package transfer_test

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"ftpfs/conn"
	"ftpfs/fs/transfer"
)

// storm works in /d of a server that dies all the time, and knows what the
// directory must hold.
type storm struct {
	*rig
	random *rand.Rand
	holds  content
	n      int
}

// content is what a directory holds, by name.
type content map[string]string

func (c content) with(name, text string) content {
	c = maps.Clone(c)
	c[name] = text
	return c
}

func (c content) without(name string) content {
	c = maps.Clone(c)
	delete(c, name)
	return c
}

func (c content) String() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(c)) {
		fmt.Fprintf(&b, "%s: %d bytes %.12q\n", name, len(c[name]), c[name])
	}
	return b.String()
}

// Programs write, rename and remove while the server dies and comes back. Each
// does what a user would who was told of an outage: it looks, and goes on from
// there. In the end the server has exactly what was called safe, and nothing
// else.
func TestStorm(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			virtual(t, func(t *testing.T, r *rig) {
				r.opts.Delay = true
				s := &storm{rig: r, random: rand.New(rand.NewPCG(seed, 1)), holds: content{}}
				if _, err := r.tree.Mkdir(t.Context(), "/d"); err != nil {
					t.Fatal(err)
				}
				stop, stopped := make(chan struct{}), make(chan struct{})
				go func() { defer close(stopped); s.weather(rand.New(rand.NewPCG(seed, 2)), stop) }()
				for range 60 {
					s.step()
				}
				close(stop)
				<-stopped
				r.drain()
				time.Sleep(2 * time.Minute)
				s.is(s.look())
				r.names("d", slices.Collect(maps.Keys(s.holds))...)
				for name, text := range s.holds {
					r.has("d/"+name, []byte(text))
				}
			})
		})
	}
}

// weather kills the server and starts it again until stop is closed.
func (s *storm) weather(random *rand.Rand, stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case <-time.After(time.Duration(random.Int64N(int64(40 * time.Millisecond)))):
		}
		s.srv.Stop()
		time.Sleep(time.Duration(random.Int64N(int64(40 * time.Millisecond))))
		s.srv.Restart()
	}
}

// step does one thing. An error leaves one of several states.
func (s *storm) step() {
	s.n++
	time.Sleep(time.Duration(s.random.Int64N(int64(1500 * time.Millisecond))))
	if s.random.IntN(20) == 0 {
		s.unmount() // as a kill does: nothing is drained
		s.mount(8)
	}
	a, b := s.name(), s.name()
	text := strings.Repeat(fmt.Sprintf("version %d ", s.n), 1+s.random.IntN(3000))
	old, there := s.holds[a]
	var err error
	var after content
	states := []content{s.holds}
	switch what := s.random.IntN(10); {
	case what < 5 || !there:
		after = s.holds.with(a, text)
		states = append(states, s.holds.with(a, ""))
		if closed := false; s.write(a, text, true, &closed, &err) && closed {
			states = nil
		}
	case what < 7:
		after = s.holds.with(a, old+text)
		if closed := false; s.write(a, text, false, &closed, &err) && closed {
			states = nil
		}
	case what < 9 && a != b:
		after = s.holds.without(a).with(b, old)
		err = s.m.Rename(s.Context(), "/d/"+a, "/d/"+b, false, nil, nil)
	default:
		after = s.holds.without(a)
		err = s.m.Remove(s.Context(), "/d/"+a, nil)
	}
	if err == nil {
		s.holds = after
	} else {
		s.settle(err, append(states, after))
	}
}

func (s *storm) name() string { return fmt.Sprint("f", s.random.IntN(4)) }

// write writes as cp does, or appends; closed: what was written counts, though
// close failed.
func (s *storm) write(name, text string, whole bool, closed *bool, err *error) bool {
	var h *transfer.Handle
	if whole {
		h, _, *err = s.m.Create(s.Context(), "/d/"+name, 0o644, false, true)
	} else {
		h, *err = s.m.Open(s.Context(), "/d/"+name, transfer.How{Write: true})
	}
	if *err != nil {
		return false
	}
	defer h.Release()
	if _, *err = h.Append([]byte(text)); *err != nil {
		return false
	}
	*closed = true
	*err = h.Flush(s.Context())
	return true
}

// settle looks which of the states is true after err.
func (s *storm) settle(err error, states []content) {
	outages := []error{conn.ErrHostDown, conn.ErrTimeout, conn.ErrTooMany}
	is := func(target error) bool { return errors.Is(err, target) }
	if !slices.ContainsFunc(outages, is) && conn.OutcomeOf(err) == conn.Refused && !errors.Is(err, fs.ErrNotExist) {
		s.Errorf("step %d: %v", s.n, err)
	}
	got := s.look()
	for _, state := range states {
		if maps.Equal(state, got) {
			s.holds = state
			return
		}
	}
	s.Errorf("step %d: after %v it holds\n%v, which is none of\n%v", s.n, err, got, states)
	s.holds = got
}

func (s *storm) is(got content) {
	if !maps.Equal(s.holds, got) {
		s.Errorf("step %d: it holds\n%vinstead of\n%v", s.n, got, s.holds)
	}
}

// look reads the directory until that succeeds.
func (s *storm) look() content {
	for range 1000 {
		if got, err := s.tryLook(); err == nil {
			return got
		}
		time.Sleep(50 * time.Millisecond)
	}
	s.Fatal("the directory cannot be read")
	return nil
}

func (s *storm) tryLook() (content, error) {
	entries, err := s.tree.List(s.Context(), "/d")
	if err != nil {
		return nil, err
	}
	got := content{}
	for _, e := range entries {
		h, err := s.m.Open(s.Context(), "/d/"+e.Name, transfer.How{})
		if err != nil {
			return nil, err
		}
		text, err := readAll(s.Context(), h, 64<<10)
		h.Release()
		if err != nil {
			return nil, err
		}
		got[e.Name] = string(text)
	}
	return got, nil
}
