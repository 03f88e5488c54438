package cache

import (
	"fmt"
	"slices"

	"pgregory.net/rapid"
)

// The model of a Store: what each copy and each sealed version is made of,
// and what must be found after the process died or the power was cut.

// baseByte is what the server has at off: a lower-case letter. Writes are upper-case.
func baseByte(off int64) byte { return 'a' + byte(off%26) }

// content is bytes of which some are not there yet; those are the base's.
type content struct {
	bytes   []byte
	present []bool
}

func newContent(size int) content {
	var c content
	for off := range size {
		c.bytes = append(c.bytes, baseByte(int64(off)))
		c.present = append(c.present, false)
	}
	return c
}

func (c content) clone() content { return content{slices.Clone(c.bytes), slices.Clone(c.present)} }

func (c *content) resize(n int) {
	for len(c.bytes) < n {
		c.bytes, c.present = append(c.bytes, 0), append(c.present, true)
	}
	c.bytes, c.present = c.bytes[:n], c.present[:n]
}

func (c *content) write(p []byte, off int) {
	c.resize(max(len(c.bytes), off+len(p)))
	copy(c.bytes[off:], p)
	for i := range p {
		c.present[off+i] = true
	}
}

func (c *content) fill(off, n int) {
	for i := off; i < min(off+n, len(c.present)); i++ {
		c.present[i] = true
	}
}

// holds reports whether got has, and missing lacks, nothing that c forbids:
// what c has must be there, what is missing must be the base's.
func (c content) holds(got []byte, missing []Range) error {
	if len(got) != len(c.bytes) {
		return fmt.Errorf("%d bytes, want %d", len(got), len(c.bytes))
	}
	lacks := make([]bool, len(got))
	for _, m := range missing {
		for i := m.Off; i < m.End(); i++ {
			lacks[i] = true
		}
	}
	for i, b := range got {
		switch {
		case lacks[i] && c.bytes[i] != baseByte(int64(i)):
			return fmt.Errorf("byte %d of %q was written and is taken for missing", i, c.bytes)
		case !lacks[i] && b != c.bytes[i]:
			return fmt.Errorf("byte %d is %q, want that of %q", i, b, c.bytes)
		}
	}
	return nil
}

// modelCopy is a Copy in use.
type modelCopy struct {
	c       *Copy
	path    string // where it belongs; empty once it is unlinked
	content content
	marked  bool // as dirty
	changed bool // since it was marked
	torn    bool // the process died while it changed
	exposed bool // others can write into it,
	unseen  bool // and have
	told    bool // something that is in no version was seen: more in the same instant is not
	clone   *modelClone
}

// modelClone is a Clone that is neither sealed nor dropped, of what the copy
// was then.
type modelClone struct {
	k       *Clone
	content content
	changed bool // the copy, since then
}

// modelVersion is a sealed version. Its id is the modification time it is sealed with.
type modelVersion struct {
	id      int
	v       *Sealed
	content content
	synced  bool
	shadow  *modelVersion
	paths   map[string]bool // where a power cut can find it
	ended   bool
}

// modelReader is an open Reader with what it must give.
type modelReader struct {
	r    *Reader
	want content
}

func (mr modelReader) check(t *rapid.T) {
	checkBytes(t, "reader", mr.want, mr.r.sealed.data, mr.r.sealed.size)
}
