package cache

import (
	"fmt"
	"slices"
	"time"

	"pgregory.net/rapid"
)

// machine is a Store beside its model.
type machine struct {
	disk     *memDisk
	s        *Store
	adopted  []*Store // of dead mounts; nothing is done to them
	nextID   int
	copies   []*modelCopy
	current  map[string]*modelVersion // pending, by path
	versions map[int]*modelVersion    // all that ever were, since the last power cut was judged
	refused  map[int]bool             // versions that are in the recovery folder
	readers  []modelReader
	exposes  bool     // each mount begins with an exposed copy
	inFlight []func() // what the calls during which the process died do to the model, if they got through
}

func newMachine(t *rapid.T, exposes bool) *machine {
	m := &machine{disk: newMemDisk(), exposes: exposes}
	m.begin(t)
	m.refused = make(map[int]bool)
	return m
}

// begin starts a mount with nothing in it.
func (m *machine) begin(t *rapid.T) {
	s, err := Open("/cache", testIdentity, Options{CacheSize: 40, Disk: m.disk})
	if err != nil {
		t.Fatal(err)
	}
	m.s, m.copies = s, nil
	m.current, m.versions = make(map[string]*modelVersion), make(map[int]*modelVersion)
	m.readers, m.inFlight = nil, nil
	if m.exposes {
		mc := &modelCopy{path: "/a", content: newContent(8), exposed: true, marked: true}
		mc.content.fill(0, 8)
		mc.c, err = s.NewCopy(8)
		check(t, err)
		check(t, mc.c.Fill(mc.content.bytes, 0))
		if ok, err := s.Expose(mc.path, mc.c); !ok || err != nil {
			t.Fatalf("not exposed: %v", err)
		}
		m.copies = append(m.copies, mc)
	}
}

// do makes a call and, when it succeeds, its change of the model. A call during which
// the process dies has taken effect as a whole or not at all.
func (m *machine) do(t *rapid.T, call func() error, update func()) {
	t.Helper()
	switch err := call(); {
	case err == nil:
		update()
	case m.disk.isDead():
		m.inFlight = append(m.inFlight, update)
	default:
		t.Fatal(err)
	}
}

func check(t *rapid.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (m *machine) drawCopy(t *rapid.T) *modelCopy {
	if len(m.copies) == 0 {
		return nil
	}
	return m.copies[rapid.IntRange(0, len(m.copies)-1).Draw(t, "copy")]
}

func (m *machine) drawVersion(t *rapid.T) (string, *modelVersion) {
	var paths []string
	for p := range m.current {
		paths = append(paths, p)
	}
	if len(paths) == 0 {
		return "", nil
	}
	slices.Sort(paths)
	p := rapid.SampledFrom(paths).Draw(t, "version")
	return p, m.current[p]
}

// open gets a copy of path: the working one, the version's, or a fresh one.
func (m *machine) open(t *rapid.T) {
	p := drawPath(t)
	if slices.ContainsFunc(m.copies, func(mc *modelCopy) bool { return mc.path == p }) {
		return
	}
	mc := &modelCopy{path: p}
	n := rapid.IntRange(0, 12).Draw(t, "size")
	if rapid.Bool().Draw(t, "a spare file") {
		m.s.Spare()
	}
	m.do(t, func() (err error) {
		if v := m.current[p]; v != nil {
			mc.content = v.content.clone()
			mc.c, err = v.v.Copy()
		} else {
			mc.content = newContent(n)
			mc.c, err = m.s.NewCopy(int64(n))
		}
		return err
	}, func() { m.copies = append(m.copies, mc) })
}

func (m *machine) write(t *rapid.T) {
	mc := m.drawCopy(t)
	if mc == nil {
		return
	}
	m.mark(t, mc)
	off := rapid.IntRange(0, 16).Draw(t, "off")
	p := []byte(rapid.StringMatching(`[A-Z]{1,6}`).Draw(t, "bytes"))
	m.do(t, func() error {
		_, err := mc.c.WriteAt(p, int64(off))
		return err
	}, func() {
		mc.content.write(p, off)
		mc.unseen, mc.told = false, true
		mc.touched()
	})
	mc.torn = m.disk.isDead()
}

func (m *machine) truncate(t *rapid.T) {
	mc := m.drawCopy(t)
	if mc == nil {
		return
	}
	n := rapid.IntRange(0, 16).Draw(t, "size")
	if mc.exposed && n == len(mc.content.bytes) {
		return // no change, and nothing to recover
	}
	m.mark(t, mc)
	m.do(t, func() error { return mc.c.Truncate(int64(n)) }, func() {
		mc.content.resize(n)
		mc.unseen, mc.told = false, true
		mc.touched()
	})
	mc.torn = m.disk.isDead()
}

// mark says that the copy is about to change.
func (m *machine) mark(t *rapid.T, mc *modelCopy) {
	if mc.path != "" {
		m.do(t, func() error { return m.s.Dirty(mc.path, mc.c) }, func() { mc.marked, mc.changed = true, true })
	}
}

func (m *machine) fill(t *rapid.T) {
	off, n := rapid.IntRange(0, 16).Draw(t, "off"), rapid.IntRange(1, 8).Draw(t, "n")
	p := make([]byte, n)
	for i := range p {
		p[i] = baseByte(int64(off + i))
	}
	if mc := m.drawCopy(t); mc != nil && rapid.Bool().Draw(t, "the copy") {
		m.do(t, func() error { return mc.c.Fill(p, int64(off)) }, func() { mc.content.fill(off, n) })
	} else if _, v := m.drawVersion(t); v != nil {
		m.do(t, func() error { return v.v.Fill(p, int64(off)) }, func() { v.content.fill(off, n) })
	}
}

func (m *machine) seal(t *rapid.T) {
	mc := m.drawCopy(t)
	if mc == nil || mc.path == "" || mc.clone != nil {
		return
	}
	m.nextID++
	v := &modelVersion{id: m.nextID, content: mc.content.clone(), paths: map[string]bool{mc.path: true}}
	seal := m.s.Seal
	if rapid.Bool().Draw(t, "apart") {
		seal = m.s.SealApart
	}
	m.do(t, func() (err error) {
		v.v, err = seal(mc.path, mc.c, Attrs{Time: time.Unix(int64(v.id), 0)})
		return err
	}, func() {
		m.versions[v.id] = v
		v.supersede(m.current[mc.path])
		m.current[mc.path] = v
		mc.marked, mc.changed, mc.unseen, mc.told = mc.exposed, false, false, false
	})
}

func (v *modelVersion) durable() bool { return v != nil && (v.synced || v.shadow != nil) }

// supersede ends old as soon as v is durable; until then a power cut brings
// it back if it is durable itself.
func (v *modelVersion) supersede(old *modelVersion) {
	if old == nil {
		return
	}
	keep := old.shadow
	if old.synced {
		keep = old
	} else {
		old.ended = true
	}
	old.shadow = nil
	if keep != nil && !v.synced {
		v.shadow = keep
	} else if keep != nil {
		keep.ended = true
	}
}

// end says that v, pending at path p, is done with.
func (m *machine) end(p string) {
	v := m.current[p]
	v.ended = true
	if v.shadow != nil {
		v.shadow.ended = true
	}
	delete(m.current, p)
}

func (v *modelVersion) sync() {
	v.synced = true
	if v.shadow != nil {
		v.shadow.ended, v.shadow = true, nil
	}
}

func (m *machine) finish(t *rapid.T) {
	p, v := m.drawVersion(t)
	if v == nil {
		return
	}
	switch how := rapid.SampledFrom([]string{"sync", "sync", "attempt", "done", "drop", "refuse"}).Draw(t, "how"); how {
	case "sync":
		m.do(t, v.v.Sync, v.sync)
	case "attempt":
		m.do(t, func() error { return v.v.Attempt(".temp") }, func() {})
	case "done":
		m.do(t, v.v.Done, func() { m.end(p) })
	case "drop":
		m.do(t, v.v.Drop, func() { m.end(p) })
	case "refuse":
		m.do(t, func() error {
			_, err := v.v.Refuse(fmt.Sprint("refused ", v.id))
			return err
		}, func() { m.refuse(p) })
	}
}

// refuse is what becomes of the version at p in the model.
func (m *machine) refuse(p string) {
	m.refused[m.current[p].id] = true
	m.end(p)
}

// remove is what becomes of the file or directory at p in the model, because
// it is removed or replaced.
func (m *machine) remove(p string) {
	for q := range m.current {
		if q == p {
			m.end(q)
		} else if isUnder(q, p) {
			m.refused[m.current[q].id] = true
			m.end(q)
		}
	}
	for _, mc := range m.copies {
		if mc.path != "" && isUnder(mc.path, p) {
			mc.path, mc.marked = "", false
		}
	}
}

func (m *machine) unlink(t *rapid.T) {
	p := rapid.SampledFrom(append(modelDirs(), modelFiles()...)).Draw(t, "path")
	// A version below a directory is refused with a reason that does not tell its id.
	if slices.ContainsFunc(sortedKeys(m.current), func(q string) bool { return q != p && isUnder(q, p) }) {
		return
	}
	m.do(t, func() error { return m.s.Unlink(p) }, func() { m.remove(p) })
}

func (m *machine) rename(t *rapid.T) {
	names := modelFiles()
	if rapid.Bool().Draw(t, "directory") {
		names = modelDirs()
	}
	from, to := rapid.SampledFrom(names).Draw(t, "from"), rapid.SampledFrom(names).Draw(t, "to")
	if from == to || slices.ContainsFunc(sortedKeys(m.current), func(q string) bool { return q != to && isUnder(q, to) }) {
		return
	}
	m.do(t, func() error { return m.s.Rename(from, to) }, func() { m.move(from, to) })
}

// move is what Rename does to the model.
func (m *machine) move(from, to string) {
	if v, old := m.current[from], m.current[to]; v != nil && old != nil {
		if old.durable() && !v.synced {
			v.sync()
		}
		v.supersede(old)
		delete(m.current, to)
	}
	m.remove(to)
	for _, q := range sortedKeys(m.current) {
		if isUnder(q, from) {
			v := m.current[q]
			delete(m.current, q)
			q = to + q[len(from):]
			m.current[q] = v
			v.paths[q] = true
			if v.shadow != nil {
				v.shadow.paths[q] = true
			}
		}
	}
	for _, mc := range m.copies {
		if mc.path != "" && isUnder(mc.path, from) {
			mc.path = to + mc.path[len(from):]
		}
	}
}

func (m *machine) read(t *rapid.T) {
	if _, v := m.drawVersion(t); v != nil {
		var r *Reader
		m.do(t, func() (err error) { r, err = v.v.Reader(); return err }, func() { m.readers = append(m.readers, modelReader{r, v.content.clone()}) })
	}
}

func (m *machine) closeCopy(t *rapid.T) {
	mc := m.drawCopy(t)
	if mc == nil {
		return
	}
	if mc.exposed {
		m.cover(t, mc)
	}
	if mc.exposed {
		return
	}
	m.do(t, func() error { return m.s.Clean(mc.c) }, func() { mc.marked = false }) // TestDirtyClose has what happens otherwise
	m.do(t, mc.c.Close, func() {
		m.copies = slices.DeleteFunc(m.copies, func(o *modelCopy) bool { return o == mc })
	})
}

func (m *machine) closeReaders(t *rapid.T) {
	for _, mr := range m.readers {
		if !m.disk.isDead() {
			mr.check(t)
		}
		m.do(t, mr.r.Close, func() {})
	}
	m.readers = nil
}

// checkBytes compares the first size bytes of d, which must be open, with want.
func checkBytes(t *rapid.T, what string, want content, d *data, size int64) {
	got := make([]byte, size)
	if size > 0 {
		_, err := d.file.ReadAt(got, 0)
		check(t, err)
	}
	if err := want.holds(got, d.allMissing(size)); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	for i, p := range want.present {
		if _, err := d.readAt(make([]byte, 1), int64(i), size); p && err != nil {
			t.Fatalf("%s: byte %d: %v", what, i, err)
		}
	}
}

// checkLiving compares the Store with the model.
func (m *machine) checkLiving(t *rapid.T) {
	for _, mc := range m.copies {
		if mc.unseen {
			continue
		}
		checkBytes(t, "copy of "+mc.path, mc.content, mc.c.data, mc.c.Size())
	}
	for _, mr := range m.readers {
		mr.check(t)
	}
	got := make(map[string]int)
	for _, v := range m.s.Pending() {
		got[v.Path()] = int(v.Attrs().Time.Unix())
	}
	if len(got) != len(m.current) {
		t.Fatalf("%d versions are pending, want %d", len(got), len(m.current))
	}
	for p, v := range m.current {
		if got[p] != v.id {
			t.Fatalf("%s has version %d pending, want %d", p, got[p], v.id)
		}
	}
}

func modelFiles() []string { return []string{"/a", "/b", "/d/a", "/d/b", "/e/a"} }
func modelDirs() []string  { return []string{"/d", "/e", "/f"} }

func drawPath(t *rapid.T) string { return rapid.SampledFrom(modelFiles()).Draw(t, "path") }

func sortedKeys(m map[string]*modelVersion) (out []string) {
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
