package cache

import (
	"time"

	"pgregory.net/rapid"
)

// clone begins a seal of an exposed copy, or ends it; what happens in between
// is not in the version.
func (m *machine) clone(t *rapid.T) {
	mc := m.drawCopy(t)
	switch {
	case mc == nil || !mc.exposed:
	case mc.clone != nil:
		m.endClone(t, mc)
	case mc.path != "":
		k := &modelClone{content: mc.content.clone()}
		m.do(t, func() (err error) {
			k.k, err = m.s.Clone(mc.c)
			return err
		}, func() { mc.clone, mc.unseen, mc.told = k, false, false })
	}
}

func (m *machine) endClone(t *rapid.T, mc *modelCopy) {
	k := mc.clone
	mc.clone = nil
	if mc.path == "" || rapid.Bool().Draw(t, "drop") {
		m.do(t, k.k.Drop, func() {})
		return
	}
	m.nextID++
	v := &modelVersion{id: m.nextID, content: k.content, paths: map[string]bool{mc.path: true}}
	m.do(t, func() (err error) {
		v.v, err = k.k.Seal(mc.path, Attrs{Time: time.Unix(int64(v.id), 0)})
		return err
	}, func() {
		m.versions[v.id] = v
		v.supersede(m.current[mc.path])
		m.current[mc.path] = v
		mc.changed = k.changed
	})
}

// touched notes that the content of the copy has changed.
func (mc *modelCopy) touched() {
	if mc.clone != nil {
		mc.clone.changed = true
	}
}

// expose lets others write into the copy, or ends that.
func (m *machine) expose(t *rapid.T) {
	mc := m.drawCopy(t)
	switch {
	case mc == nil:
	case mc.exposed:
		m.cover(t, mc)
	case mc.path != "":
		var ok bool
		m.do(t, func() (err error) {
			ok, err = m.s.Expose(mc.path, mc.c)
			return err
		}, func() {
			if ok {
				mc.exposed, mc.marked, mc.changed, mc.told = true, true, false, false
			}
		})
	}
}

// cover is what Release does, with or without a map that is still there.
func (m *machine) cover(t *rapid.T, mc *modelCopy) {
	mapped := &mc.c.data.file.(*memFile).n.mapped
	*mapped = rapid.Bool().Draw(t, "a map")
	var done bool
	m.do(t, func() (err error) {
		if err = mc.c.Compare(); err == nil {
			done, err = m.s.Cover(mc.c)
		}
		return err
	}, func() {
		if done == (*mapped || mc.clone != nil) {
			t.Fatalf("covered: %v, with a map: %v, with a clone: %v", done, *mapped, mc.clone != nil)
		}
		if done {
			mc.exposed, mc.unseen, mc.marked = false, false, mc.marked && mc.changed
		}
	})
	*mapped = false
}

// writeUnseen is what others do.
func (m *machine) writeUnseen(t *rapid.T) {
	mc := m.drawCopy(t)
	if mc == nil || !mc.exposed {
		return
	}
	off := rapid.IntRange(0, 16).Draw(t, "off")
	p := []byte(rapid.StringMatching(`[A-Z]{1,6}`).Draw(t, "bytes"))
	m.do(t, func() error {
		_, err := mc.c.data.file.WriteAt(p, int64(off))
		return err
	}, func() {
		mc.content.write(p, off)
		mc.changed, mc.unseen = true, true
		mc.touched()
	})
	mc.torn = m.disk.isDead()
}

func (m *machine) look(t *rapid.T) {
	mc := m.drawCopy(t)
	if mc == nil {
		return
	}
	var saw bool
	m.do(t, func() (err error) {
		saw, err = mc.c.Look()
		return err
	}, func() {
		if mc.unseen && !saw && !mc.told {
			t.Fatal("what others wrote was not seen")
		}
		mc.unseen, mc.told = false, mc.told || saw
	})
}
