package server

import (
	"io/fs"
	"os"
	"slices"
	"syscall"
)

// lsMode returns a mode as ls shows it, such as "drwxr-sr-x".
func lsMode(m fs.FileMode) string {
	b := []byte("-" + m.Perm().String()[1:])
	for _, k := range []struct {
		bit    fs.FileMode
		letter byte
	}{
		{fs.ModeDir, 'd'}, {fs.ModeSymlink, 'l'}, {fs.ModeNamedPipe, 'p'},
		{fs.ModeSocket, 's'}, {fs.ModeDevice, 'b'}, {fs.ModeCharDevice, 'c'},
	} {
		if m&k.bit != 0 {
			b[0] = k.letter
		}
	}
	for _, k := range []struct {
		bit   fs.FileMode
		at    int
		x, no byte // with and without execute permission
	}{{fs.ModeSetuid, 3, 's', 'S'}, {fs.ModeSetgid, 6, 's', 'S'}, {fs.ModeSticky, 9, 't', 'T'}} {
		switch {
		case m&k.bit == 0:
		case b[k.at] == 'x':
			b[k.at] = k.x
		default:
			b[k.at] = k.no
		}
	}
	return string(b)
}

// unixMode returns Go's mode bits as those of chmod(2).
func unixMode(m fs.FileMode) uint32 {
	bits := uint32(m.Perm())
	if m&fs.ModeSetuid != 0 {
		bits |= syscall.S_ISUID
	}
	if m&fs.ModeSetgid != 0 {
		bits |= syscall.S_ISGID
	}
	if m&fs.ModeSticky != 0 {
		bits |= syscall.S_ISVTX
	}
	return bits
}

// fileMode returns the mode bits of chmod(2) as Go's.
func fileMode(bits uint32) fs.FileMode {
	m := fs.FileMode(bits) & fs.ModePerm
	if bits&syscall.S_ISUID != 0 {
		m |= fs.ModeSetuid
	}
	if bits&syscall.S_ISGID != 0 {
		m |= fs.ModeSetgid
	}
	if bits&syscall.S_ISVTX != 0 {
		m |= fs.ModeSticky
	}
	return m
}

// accessible reports whether the server's process has the permission (4 to
// read, 2 to write, 1 to search), as far as mode and owner tell.
func accessible(fi fs.FileInfo, permission fs.FileMode) bool {
	o, mode := ownerOf(fi), fi.Mode().Perm()
	switch uid := os.Geteuid(); {
	case uid == 0:
		return true
	case uint32(uid) == o.uid:
		mode >>= 6
	case uint32(os.Getegid()) == o.gid || memberOf(o.gid):
		mode >>= 3
	}
	return mode&permission != 0
}

func memberOf(gid uint32) bool {
	groups, err := os.Getgroups()
	return err == nil && slices.Contains(groups, int(gid))
}

// owner is what fs.FileInfo hides.
type owner struct {
	uid, gid   uint32
	links      uint64
	device, id uint64
}

func ownerOf(fi fs.FileInfo) owner {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return owner{links: 1}
	}
	return owner{uid: st.Uid, gid: st.Gid, links: uint64(st.Nlink), device: uint64(st.Dev), id: uint64(st.Ino)}
}
