package cache

import (
	"slices"
	"sort"
)

// Range is a part of a file.
type Range struct {
	Off int64 `json:"off"` // bytes from the start, 0 or more
	Len int64 `json:"len"` // bytes, more than 0
}

// End returns the offset just behind r.
func (r Range) End() int64 { return r.Off + r.Len }

// ranges is a set of offsets as sorted ranges that neither overlap nor touch.
// The zero value is empty.
type ranges struct{ list []Range }

// search returns the index of the first range that ends behind off.
func (s *ranges) search(off int64) int {
	return sort.Search(len(s.list), func(i int) bool { return s.list[i].End() > off })
}

// add puts [off, end) into the set.
func (s *ranges) add(off, end int64) {
	if off >= end {
		return
	}
	i := s.search(off - 1) // one that touches from the left is merged
	j := i
	for ; j < len(s.list) && s.list[j].Off <= end; j++ {
		off = min(off, s.list[j].Off)
		end = max(end, s.list[j].End())
	}
	s.list = slices.Replace(s.list, i, j, Range{off, end - off})
}

// remove takes [off, end) out of the set.
func (s *ranges) remove(off, end int64) {
	if off >= end {
		return
	}
	i := s.search(off)
	var rest []Range
	j := i
	for ; j < len(s.list) && s.list[j].Off < end; j++ {
		r := s.list[j]
		if r.Off < off {
			rest = append(rest, Range{r.Off, off - r.Off})
		}
		if r.End() > end {
			rest = append(rest, Range{end, r.End() - end})
		}
	}
	s.list = slices.Replace(s.list, i, j, rest...)
}

// gap returns the first part of [off, end) that is not in the set.
func (s *ranges) gap(off, end int64) (Range, bool) {
	i := s.search(off)
	if i < len(s.list) && s.list[i].Off <= off {
		off = s.list[i].End()
		i++
	}
	if off >= end {
		return Range{}, false
	}
	if i < len(s.list) {
		end = min(end, s.list[i].Off)
	}
	return Range{off, end - off}, true
}

// gaps returns all parts of [0, end) that are not in the set.
func (s *ranges) gaps(end int64) []Range {
	var out []Range
	for off := int64(0); ; {
		g, ok := s.gap(off, end)
		if !ok {
			return out
		}
		out = append(out, g)
		off = g.End()
	}
}

// has reports whether all of [off, end) is in the set.
func (s *ranges) has(off, end int64) bool {
	_, missing := s.gap(off, end)
	return !missing
}

// clipped returns a copy of the set without what lies at or behind end.
func (s *ranges) clipped(end int64) ranges {
	c := ranges{slices.Clone(s.list)}
	if n := len(c.list); n > 0 {
		c.remove(end, max(end, c.list[n-1].End()))
	}
	return c
}
