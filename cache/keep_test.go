package cache

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"ftpfs/conn"
)

// shelf is a Store with clean copies beside its model.
type shelf struct {
	disk  *memDisk
	s     *Store
	last  int             // version that was made last
	kept  map[string]int  // version of the clean copy of a path that must be there
	racy  map[string]bool // paths whose copy is for this mount only
	made  map[int][]byte  // content of each version
	maybe map[string]bool // a call about the path did not come back: anything right may be there
}

func shelfVersion(id, size int) conn.Version {
	return conn.Version{State: conn.Present, Size: int64(size), Time: time.Unix(int64(id), 0).UTC(), Precision: time.Second}
}

func (h *shelf) version(id int) conn.Version { return shelfVersion(id, len(h.made[id])) }

// start begins a mount, which takes over what the ones before have left.
func (h *shelf) start(t *rapid.T) {
	s, err := Open("/cache", testIdentity, Options{CacheSize: 1 << 20, Disk: h.disk})
	check(t, err)
	left, err := s.Adopt()
	check(t, err)
	for _, a := range left {
		for _, v := range a.Pending() {
			check(t, v.Drop())
		}
		check(t, a.Close())
	}
	h.s = s
	h.maybe = make(map[string]bool)
}

// keep fetches a version of a path, or a part of it.
func (h *shelf) keep(t *rapid.T) {
	p := drawPath(t)
	h.last++
	id := h.last
	h.made[id] = []byte(rapid.StringMatching(`[a-z]{1,12}`).Draw(t, "content"))
	whole, racy := rapid.IntRange(0, 3).Draw(t, "part") > 0, rapid.IntRange(0, 3).Draw(t, "racy") == 0
	h.maybe[p] = true
	c, err := h.s.NewCopy(int64(len(h.made[id])))
	if h.died(t, err) {
		return
	}
	n := len(h.made[id])
	if !whole {
		n--
	}
	if h.died(t, c.Fill(h.made[id][:n], 0)) {
		return
	}
	h.s.Keep(p, h.version(id), racy, c)
	if h.died(t, c.Close()) {
		return
	}
	delete(h.maybe, p)
	delete(h.racy, p)
	delete(h.kept, p)
	if whole {
		h.kept[p], h.racy[p] = id, racy
	}
}

// change writes into the clean copy of a path, and does not bring it to the server.
func (h *shelf) change(t *rapid.T) {
	p := drawPath(t)
	id, ok := h.kept[p]
	if !ok {
		return
	}
	c, ok := h.s.Reuse(p, h.version(id))
	if !ok {
		t.Fatalf("no copy of %s", p)
	}
	h.maybe[p] = true
	if h.died(t, h.s.Dirty(p, c)) {
		return
	}
	delete(h.kept, p)
	if rapid.Bool().Draw(t, "truncate") {
		if h.died(t, c.Truncate(0)) {
			return
		}
	}
	_, err := c.WriteAt([]byte("LOCAL"), 0)
	if h.died(t, err) || h.died(t, h.s.Clean(c)) {
		return
	}
	h.died(t, c.Close())
}

func (h *shelf) rename(t *rapid.T) {
	from, to := drawPath(t), drawPath(t)
	if from == to {
		return
	}
	h.maybe[from], h.maybe[to] = true, true
	if h.died(t, h.s.Rename(from, to)) {
		return
	}
	delete(h.kept, to)
	if id, ok := h.kept[from]; ok {
		h.kept[to], h.racy[to] = id, h.racy[from]
		delete(h.kept, from)
	}
	delete(h.maybe, from)
	delete(h.maybe, to)
}

func (h *shelf) forget(t *rapid.T) {
	p := drawPath(t)
	h.maybe[p] = true
	if h.died(t, h.s.Unlink(p)) {
		return
	}
	delete(h.kept, p)
	delete(h.maybe, p)
}

// died tells whether err is that of a dead process; others end the test.
func (h *shelf) died(t *rapid.T, err error) bool {
	if h.disk.isDead() {
		return true
	}
	check(t, err)
	return false
}

// found compares the clean copies with the model. must: all that were kept have to be there.
func (h *shelf) found(t *rapid.T, must bool) {
	for _, p := range modelFiles() {
		seen := 0
		for id := range h.made {
			h.s.mu.Lock()
			k := h.s.kept[p]
			is := k != nil && k.kept.version == h.version(id)
			h.s.unlock()
			if !is {
				continue
			}
			seen = id
			c, ok := h.s.Reuse(p, h.version(id))
			if !ok {
				t.Fatalf("%s: version %d is kept and cannot be used", p, id)
			}
			got := make([]byte, len(h.made[id]))
			if _, err := c.ReadAt(got, 0); c.Complete() && (err != nil || !bytes.Equal(got, h.made[id])) {
				t.Fatalf("%s: version %d is %q, want %q; %v", p, id, got, h.made[id], err)
			}
			check(t, c.Close())
		}
		if id, ok := h.kept[p]; must && ok && !h.maybe[p] && seen != id {
			t.Fatalf("%s: version %d is kept, want %d", p, seen, id)
		}
	}
}

// restart ends the process, by itself or not, and begins the next.
func (h *shelf) restart(t *rapid.T) {
	how := rapid.SampledFrom([]string{"close", "kill", "power"}).Draw(t, "how")
	if how == "close" {
		if err := h.s.Close(); !h.disk.isDead() {
			check(t, err)
		}
	}
	h.disk.restart(how == "power", func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "luck") })
	maybe := h.maybe
	h.start(t)
	h.maybe = maybe
	for p, racy := range h.racy {
		if racy {
			delete(h.kept, p)
		}
	}
	h.found(t, how != "power")
	h.maybe = make(map[string]bool)
	for _, p := range modelFiles() { // what is there counts from here on
		delete(h.kept, p)
		if k := h.s.kept[p]; k != nil {
			h.kept[p] = int(k.kept.version.Time.Unix())
		}
	}
	h.racy = make(map[string]bool)
}

// A clean copy that is found has the bytes of its version, whatever ended the
// process, and all that are whole are found where the power was not cut.
func TestKeptCopiesModel(t *testing.T) {
	for range 4 {
		rapid.Check(t, func(t *rapid.T) {
			h := &shelf{disk: newMemDisk(), kept: map[string]int{}, racy: map[string]bool{}, made: map[int][]byte{}}
			h.start(t)
			t.Repeat(map[string]func(*rapid.T){
				"keep": h.keep, "keepMore": h.keep, "change": h.change, "rename": h.rename, "forget": h.forget,
				"restart": h.restart,
				"restartWithin": func(t *rapid.T) {
					h.disk.setSteps(rapid.IntRange(1, 12).Draw(t, "steps"))
					for range 3 {
						if !h.disk.isDead() {
							[]func(*rapid.T){h.keep, h.change, h.rename, h.forget}[rapid.IntRange(0, 3).Draw(t, "last")](t)
						}
					}
					h.restart(t)
				},
				"": func(t *rapid.T) { h.found(t, true) },
			})
			check(t, h.s.Close())
			if h.disk.open != 0 {
				t.Fatalf("%d files are open", h.disk.open)
			}
		})
	}
}

// What two mounts keep does not meet; the next mount has all of it, as far as
// it may keep so much, and forgets first what was used longest ago.
func TestKeptCopiesOfSeveralMounts(t *testing.T) {
	dir := t.TempDir()
	open := func(size int64) *Store {
		s, err := Open(dir, testIdentity, Options{CacheSize: size})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Adopt(); err != nil {
			t.Fatal(err)
		}
		return s
	}
	const size = 8192
	v := conn.Version{State: conn.Present, Size: size, Time: time.Unix(1, 0)}
	put := func(s *Store, p string) {
		c, err := s.NewCopy(size)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Fill(bytes.Repeat([]byte(p[1:]), size), 0); err != nil {
			t.Fatal(err)
		}
		s.Keep(p, v, false, c)
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	has := func(s *Store, p string) bool {
		c, ok := s.Reuse(p, v)
		if ok {
			got := make([]byte, size)
			if _, err := c.ReadAt(got, 0); err != nil || !bytes.Equal(got, bytes.Repeat([]byte(p[1:]), size)) {
				t.Errorf("%s: wrong bytes, %v", p, err)
			}
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
		return ok
	}
	shut := func(s *Store) {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	a, b := open(1<<20), open(1<<20)
	put(a, "/a")
	put(a, "/b")
	put(b, "/c")
	if has(b, "/a") || has(a, "/c") {
		t.Error("a live mount's copies are seen by another")
	}
	has(a, "/a") // now /b is the oldest
	shut(a)
	shut(b)
	s := open(2 * size)
	var left []string
	for _, p := range []string{"/a", "/b", "/c"} {
		if has(s, p) {
			left = append(left, p)
		}
	}
	if got := fmt.Sprint(left); got != "[/a /c]" && got != "[/b /c]" && got != "[/a /b]" || len(left) != 2 {
		t.Errorf("left are %v, want two", left)
	}
	shut(s)
	s = open(1 << 20)
	if !has(s, left[0]) || !has(s, left[1]) {
		t.Error("not there for the third mount")
	}
	shut(s)
}

// A huge copy that is being filled loses what is far from where it is filled.
func TestMakeRoom(t *testing.T) {
	s, err := Open(t.TempDir(), testIdentity, Options{CacheSize: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	small, err := s.NewCopy(4096)
	if err != nil {
		t.Fatal(err)
	}
	v := conn.Version{State: conn.Present, Size: 4096}
	if err := small.Fill(make([]byte, 4096), 0); err != nil {
		t.Fatal(err)
	}
	s.Keep("/small", v, false, small)
	if err := small.Close(); err != nil {
		t.Fatal(err)
	}
	const huge = 8 << 20
	c, err := s.NewCopy(huge)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	block := bytes.Repeat([]byte("x"), 256<<10)
	for off := int64(0); off < huge; off += int64(len(block)) {
		if err := c.Fill(block, off); err != nil {
			t.Fatal(err)
		}
		if err := s.MakeRoom(c, max(0, off-int64(len(block))), off+int64(len(block))); err != nil {
			t.Fatal(err)
		}
		if _, used := s.Usage(); used > 1<<20 {
			t.Fatalf("%d bytes are used at %d", used, off)
		}
	}
	if _, ok := s.Reuse("/small", v); ok {
		t.Error("a copy that nobody used was left while another was trimmed")
	}
	buf := make([]byte, len(block))
	if _, err := c.ReadAt(buf, 0); err != ErrMissing {
		t.Errorf("the start of the huge file: %v, want ErrMissing", err)
	}
	if _, err := c.ReadAt(buf, huge-int64(len(buf))); err != nil || !bytes.Equal(buf, block) {
		t.Errorf("the end of the huge file: %v", err)
	}
}
