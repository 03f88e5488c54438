package transfer

import (
	"log/slog"
	"time"
)

// Options configure a Manager.
type Options struct {
	Write    WriteMode
	Direct   bool          // upload to the files themselves, never to temporary names
	Retry    time.Duration // for how long a close or fsync tries again after a lost connection; 0: once, at once
	Conflict ConflictMode
	Local    []string // patterns (path.Match) of names that stay here when they are created

	ReadAhead int64 // bytes that a download runs ahead of its reader at most; 0: 32 MiB
	Prefetch  int64 // bytes of small files fetched before a program opens them, of each directory that it walks; 0: none

	Log *slog.Logger // nil: discard
}

// WriteMode says when close(2) returns.
type WriteMode uint8

// The write modes.
const (
	WriteThrough WriteMode = iota // when the server has confirmed the upload
	WriteBack                     // when the journal has the file, safe from a power cut; uploads go on beside
)

// ConflictMode says what an upload does that would overwrite somebody else's
// change.
type ConflictMode uint8

// The conflict modes.
const (
	KeepBoth  ConflictMode = iota // ours gets a name of its own
	Overwrite                     // ours replaces theirs
	Fail                          // conn.ErrBusy, and ours goes to the recovery folder
)
