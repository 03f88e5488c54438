package cache

import (
	"context"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"ftpfs/conn"
)

// slowLoad is a load under way in the model: it began when the directory's
// generation was gen.
type slowLoad struct {
	dir     string
	gen     int
	release chan struct{}
	results chan string // the only name of the listing that the waiter got
}

// The model keeps one number for each directory: its generation, raised by
// every change. A listing names the generation at which its load began; a
// Change writes the present one into the cached listing.
type listingsMachine struct {
	l    *Listings
	gens map[string]int
	slow []*slowLoad
}

func nameOfGen(gen int) string { return fmt.Sprintf("gen%d", gen) }

// load starts a Load that waits for release, and returns when it has begun or
// joined another one.
func (m *listingsMachine) load(t *rapid.T, dir string) {
	s := &slowLoad{dir: dir, gen: m.gens[dir], release: make(chan struct{}), results: make(chan string, 1)}
	for _, other := range m.slow {
		if other.dir == dir && other.gen == s.gen {
			return // would be joined; TestListingsShareOneLoad has that
		}
	}
	began := make(chan struct{})
	go func() {
		d, err := m.l.Load(context.Background(), dir, 0, func(context.Context) (conn.Listing, error) {
			close(began)
			<-s.release
			return listing(nameOfGen(s.gen)), nil
		})
		if err != nil {
			s.results <- err.Error()
			return
		}
		s.results <- d.Entries().At(0).Name
	}()
	<-began
	m.slow = append(m.slow, s)
}

// finish lets the i-th load end. It answers its waiter in any case.
func (m *listingsMachine) finish(t *rapid.T, i int) {
	s := m.slow[i]
	m.slow = append(m.slow[:i], m.slow[i+1:]...)
	close(s.release)
	if got := <-s.results; got != nameOfGen(s.gen) {
		t.Fatalf("the waiter got %q, want %q", got, nameOfGen(s.gen))
	}
	if d, ok := m.l.Peek(s.dir); s.gen == m.gens[s.dir] && (!ok || d.Entries().At(0).Name != nameOfGen(s.gen)) {
		t.Fatalf("a listing that no change made stale was not stored")
	}
}

func (m *listingsMachine) bump(dirs ...string) {
	for _, d := range dirs {
		m.gens[d]++
	}
}

func TestListingsModel(t *testing.T) {
	dirs := []string{"/a", "/a/x", "/b", "/b/x"}
	rapid.Check(t, func(t *rapid.T) {
		m := &listingsMachine{l: NewListings(100, time.Hour), gens: make(map[string]int)}
		dir := rapid.SampledFrom(dirs)
		t.Repeat(map[string]func(*rapid.T){
			"load": func(t *rapid.T) { m.load(t, dir.Draw(t, "dir")) },
			"finish": func(t *rapid.T) {
				if len(m.slow) > 0 {
					m.finish(t, rapid.IntRange(0, len(m.slow)-1).Draw(t, "i"))
				}
			},
			"change": func(t *rapid.T) {
				p := dir.Draw(t, "dir")
				m.bump(p)
				m.l.Change(p, func(d *Dir) {
					d.Delete(d.Entries().At(0).Name)
					d.Set(conn.Entry{Name: nameOfGen(m.gens[p])})
				})
			},
			"forget": func(t *rapid.T) {
				p := dir.Draw(t, "dir")
				m.bump(p)
				m.l.Forget(p)
			},
			"forgetTree": func(t *rapid.T) {
				m.bump("/a", "/a/x")
				m.l.ForgetTree("/a")
			},
			"rename": func(t *rapid.T) {
				m.bump(dirs...)
				m.l.Rename("/a", "/b")
				for _, p := range []string{"/b", "/b/x"} { // moved listings have old names: make them those of now
					m.l.Change(p, func(d *Dir) {
						d.Delete(d.Entries().At(0).Name)
						d.Set(conn.Entry{Name: nameOfGen(m.gens[p])})
					})
				}
				if _, ok := m.l.Peek("/a/x"); ok {
					t.Fatal("/a/x is still there")
				}
			},
			"": func(t *rapid.T) {
				for _, p := range dirs {
					if d, ok := m.l.Peek(p); ok && d.Entries().At(0).Name != nameOfGen(m.gens[p]) {
						t.Fatalf("%s has %s at generation %d", p, d.Entries().At(0).Name, m.gens[p])
					}
				}
			},
		})
		for len(m.slow) > 0 {
			m.finish(t, 0)
		}
	})
}
