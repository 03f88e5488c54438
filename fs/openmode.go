package fs

// openMode is how the kernel reaches the bytes of one open file. The modes
// that the opens of one inode may have at the same time are limited: an open
// that breaks the rule is answered with EIO by the kernel. Measured with
// go-fuse v2.12.1 on Linux 6.18:
//
//	first open      cached  direct  passthrough  passthroughDirect
//	cached          yes     yes     no           no
//	direct          yes     yes     (see below)  yes
//	passthrough     no      no      yes          yes
//	passthroughDirect no    no      yes          yes
//
// go-fuse's count of backing files goes wrong when a direct open stands beside
// a passthrough one, so that pair is not used either.
type openMode uint8

const (
	cached            openMode = iota // through the page cache and us
	direct                            // through us, no page cache
	passthrough                       // the kernel reads and writes the local copy
	passthroughDirect                 // has a backing file, but its I/O comes to us
	numModes
)

// openModes counts the opens of one inode by mode.
type openModes [numModes]int32

// backed tells whether the inode has a backing file.
func (m *openModes) backed() bool { return m[passthrough]+m[passthroughDirect] > 0 }

// choose returns the mode for one more open that would best be want, and
// counts it. While opens of the other kind stand, the new one joins them; when
// the last is closed the choice is free again.
func (m *openModes) choose(want openMode) openMode {
	backed := m.backed()
	through := m[cached]+m[direct] > 0
	switch {
	case backed && want != passthrough:
		want = passthroughDirect
	case through && want == passthrough:
		want = cached // also beside direct ones alone: what is direct cannot be mapped
	}
	m[want]++
	return want
}

// release uncounts an open.
func (m *openModes) release(mode openMode) { m[mode]-- }
