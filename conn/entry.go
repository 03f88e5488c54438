package conn

import (
	"io/fs"
	"time"
)

// Kind is the type of a remote object. The zero value says that the server
// has not told; it never means "file".
type Kind uint8

// The kinds of a remote object.
const (
	KindUnknown Kind = iota
	KindFile
	KindDir
	KindSymlink
	KindOther // fifo, socket or device: shown, never opened
)

// Entry is one name in a remote directory with what the server tells of it.
// Unknown facts have their zero value, except Size.
type Entry struct {
	Name      string        // one path component: no "/", no NUL, CR or LF
	Kind      Kind          //
	Size      int64         // bytes, -1 when unknown
	Time      time.Time     // last modification in UTC; zero when unknown
	Precision time.Duration // of Time: a second for MLSD and MDTM (RFC 3659), a minute or a day for LIST
	Mode      fs.FileMode   // permission, setuid, setgid and sticky bits; valid if HasMode
	HasMode   bool          //
	Owner     string        // name or number as the server prints it
	Group     string        //
	Links     int           // hard link count, 0 when unknown
	Perm      string        // the "perm" fact of MLSD (RFC 3659, 7.5.5), lower case
	Target    string        // of a symlink, where the server shows it
}

// Version returns the version of the file's content that e describes.
func (e Entry) Version() Version {
	return Version{State: Present, Size: e.Size, Time: e.Time, Precision: e.Precision}
}

// Presence says whether a Version describes a file that is there.
type Presence uint8

// The states of a Version.
const (
	AnyVersion Presence = iota // nothing is known or demanded
	Absent                     // there is no such file; a base for O_EXCL
	Present                    // Size and Time describe the file
)

// Version identifies the content of a remote file as well as FTP can: by size
// and modification time. As a base it says what a change was made from.
type Version struct {
	State     Presence
	Size      int64
	Time      time.Time
	Precision time.Duration
}

// Same reports whether v and w can be the same content: equal in presence and
// size, and in time as far as the coarser precision of the two tells.
// Unknown times and sizes compare equal.
func (v Version) Same(w Version) bool {
	if v.State == AnyVersion || w.State == AnyVersion {
		return true
	}
	if v.State != w.State {
		return false
	}
	if v.State == Absent {
		return true
	}
	if v.Size >= 0 && w.Size >= 0 && v.Size != w.Size {
		return false
	}
	if v.Time.IsZero() || w.Time.IsZero() {
		return true
	}
	if v.Precision > w.Precision {
		v, w = w, v
	}
	p := max(w.Precision, time.Second)
	// A day of LIST begins when it does where the server is.
	within := v.Time.Sub(w.Time)
	return v.Time.Truncate(p).Equal(w.Time.Truncate(p)) || v.Precision < w.Precision && 0 <= within && within < p
}
