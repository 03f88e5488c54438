package cache

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// A Store runs beside its model, through the death of its
// process and through power cuts.
func TestStoreModel(t *testing.T) {
	for range 3 { // of 200 runs each, unless -rapid.checks says otherwise
		rapid.Check(t, func(t *rapid.T) { runMachine(t, false) })
		rapid.Check(t, func(t *rapid.T) { runMachine(t, true) })
	}
}

func runMachine(t *rapid.T, exposes bool) {
	m := newMachine(t, exposes)
	actions := map[string]func(*rapid.T){
		"open":         m.open,
		"write":        m.write,
		"writeMore":    m.write,
		"truncate":     m.truncate,
		"fill":         m.fill,
		"seal":         m.seal,
		"sealMore":     m.seal,
		"finish":       m.finish,
		"finishMore":   m.finish,
		"unlink":       m.unlink,
		"rename":       m.rename,
		"read":         m.read,
		"closeReaders": m.closeReaders,
		"closeCopy":    m.closeCopy,
		"expose":       m.expose,
		"writeUnseen":  m.writeUnseen,
		"clone":        m.clone,
		"cloneMore":    m.clone,
		"look":         m.look,
	}
	names := slices.Sorted(maps.Keys(actions))
	actions["die"] = m.die
	actions["dieWithin"] = func(t *rapid.T) {
		m.disk.setSteps(rapid.IntRange(1, 12).Draw(t, "steps"))
		for range 3 {
			actions[rapid.SampledFrom(names).Draw(t, "last action")](t)
		}
		m.die(t)
	}
	actions[""] = m.checkLiving
	t.Repeat(actions)
	m.die(t)
}

// die ends the process, perhaps with the power, and judges what the next
// one finds, perhaps more than once.
func (m *machine) die(t *rapid.T) {
	powerCut := false
	for again := true; again; again = rapid.Bool().Draw(t, "again") {
		powerCut = powerCut || rapid.Bool().Draw(t, "power cut")
		m.restart(t, powerCut)
		err := m.judge(t, powerCut)
		for err != nil && len(m.inFlight) > 0 { // a call in flight may have got through
			m.inFlight[0]()
			m.inFlight = m.inFlight[1:]
			err = m.judge(t, powerCut)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, a := range m.adopted {
		for _, v := range a.Pending() {
			check(t, v.Done())
		}
		for _, temp := range a.Temps() {
			check(t, a.TempGone(temp))
		}
		check(t, a.Close())
	}
	check(t, m.s.Close())
	if m.disk.open != 0 {
		t.Fatalf("%d files are open", m.disk.open)
	}
	m.adopted = nil
	m.begin(t)
}

// restart ends the process and starts another, which adopts what is left.
func (m *machine) restart(t *rapid.T, powerCut bool) {
	m.disk.restart(powerCut, func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "luck") })
	s, err := Open("/cache", testIdentity, Options{Disk: m.disk})
	check(t, err)
	m.s = s
	m.adopted, err = s.Adopt()
	check(t, err)
}

// judge compares what was found with the model.
func (m *machine) judge(t *rapid.T, powerCut bool) error {
	found := make(map[int]pendingVersion)
	for _, p := range m.readPending(t) {
		v := m.versions[p.id]
		if v == nil {
			return fmt.Errorf("version %d is pending, which never was", p.id)
		}
		if err := v.content.holds(p.bytes, p.missing); err != nil {
			return fmt.Errorf("version %d of %s: %v", p.id, p.path, err)
		}
		if _, twice := found[p.id]; twice {
			return fmt.Errorf("version %d is pending twice", p.id)
		}
		if powerCut && !v.synced {
			return fmt.Errorf("version %d is pending, which was not synced", p.id)
		}
		found[p.id] = p
	}
	err := m.judgePowerCut(found)
	if !powerCut {
		err = m.judgeDeath(t, found)
	}
	if err != nil {
		return err
	}
	for id := range m.refused {
		if v := m.versions[id]; v != nil && !m.recovered(t, "", fmt.Sprint("refused ", id), v.content) {
			return fmt.Errorf("version %d was refused and is not in the recovery folder", id)
		}
	}
	return nil
}

// judgeDeath: exactly what was pending is, where it was; what was not sealed
// is in the recovery folder.
func (m *machine) judgeDeath(t *rapid.T, found map[int]pendingVersion) error {
	for p, v := range m.current {
		if got, ok := found[v.id]; !ok || got.path != p {
			return fmt.Errorf("version %d of %s is found as %+v, %v", v.id, p, got, ok)
		}
	}
	if len(found) != len(m.current) {
		return fmt.Errorf("%d versions are pending, want %d", len(found), len(m.current))
	}
	for _, mc := range m.copies {
		if mc.marked && mc.changed && !mc.torn && !m.sealedSame(mc) && !m.recovered(t, mc.path, "", mc.content) {
			return fmt.Errorf("the unsealed changes of %s are not in the recovery folder", mc.path)
		}
	}
	return nil
}

// sealedSame reports whether mc has, after its changes, nothing that its version has not.
func (m *machine) sealedSame(mc *modelCopy) bool {
	v := m.current[mc.path]
	return v != nil && string(v.content.bytes) == string(mc.content.bytes)
}

// judgePowerCut: what was synced last of each path, and has not ended, is pending.
func (m *machine) judgePowerCut(found map[int]pendingVersion) error {
	must := make(map[int]*modelVersion)
	for _, v := range m.current {
		if !v.synced {
			v = v.shadow
		}
		if v != nil {
			must[v.id] = v
		}
	}
	for id, v := range must {
		if p, ok := found[id]; !ok || !v.paths[p.path] {
			return fmt.Errorf("version %d was synced, and is found as %+v, %v; paths %v", id, p, ok, v.paths)
		}
	}
	for id := range found {
		if must[id] == nil && !m.versions[id].ended {
			return fmt.Errorf("version %d is pending, which a durable one superseded", id)
		}
		if m.refused[id] {
			return fmt.Errorf("version %d is pending and refused", id)
		}
	}
	return nil
}

// pendingVersion is what a test reads of a version after a restart.
type pendingVersion struct {
	path    string
	id      int
	bytes   []byte
	missing []Range
}

// readPending reads all that the adopted stores have pending.
func (m *machine) readPending(t *rapid.T) (out []pendingVersion) {
	for _, a := range m.adopted {
		for _, v := range a.Pending() {
			p := pendingVersion{path: v.Path(), id: int(v.Attrs().Time.Unix()), missing: v.data.allMissing(v.size)}
			check(t, v.hold())
			p.bytes = make([]byte, v.size)
			if v.size > 0 {
				_, err := v.data.file.ReadAt(p.bytes, 0)
				check(t, err)
			}
			check(t, v.unhold())
			out = append(out, p)
		}
	}
	return out
}

// recovered reports whether the recovery folder has a file of path, for the
// reason given if any, with the bytes of want.
func (m *machine) recovered(t *rapid.T, path, reason string, want content) bool {
	list, err := m.s.Recovery()
	check(t, err)
	for _, r := range list {
		if r.Path != path && path != "" || r.Reason != reason && reason != "" {
			continue
		}
		text, err := readFile(m.disk, r.File)
		check(t, err)
		if want.isIn(text) {
			return true
		}
	}
	return false
}

// isIn reports whether got has all that is present in c, and its length.
func (c content) isIn(got []byte) bool {
	for i, p := range c.present {
		if i >= len(got) || p && got[i] != c.bytes[i] {
			return false
		}
	}
	return len(got) == len(c.bytes)
}
