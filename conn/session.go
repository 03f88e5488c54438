package conn

import (
	"context"
	"io"
	"io/fs"
	"time"
)

// Session is one logged-in connection to the server. It is used by one
// goroutine at a time; the Pool sees to that. Paths are absolute server paths
// of bytes, separated by "/"; a component with NUL, CR or LF is refused with
// ErrInvalidName before anything is sent.
//
// Every verb ends in one of four ways (see Outcome): done (nil), refused by
// the server, not executed, or unknown. An error that is not a refusal leaves
// the session broken: Err then returns it, and the pool replaces the session.
//
// When ctx ends during a verb, the session is broken too, and the verb
// returns within a moment with an error that wraps ctx's.
type Session interface {
	// List reads a directory. Listing.Complete tells whether names that are
	// not in it can be taken as absent. "." and ".." are never in it.
	// ErrNotExist, ErrNotDir, ErrPermission.
	List(ctx context.Context, dir string) (Listing, error)

	// ListEarly is List for who can begin before it returns: see Coming.
	ListEarly(ctx context.Context, dir string, coming Coming) (Listing, error)

	// Stat asks for size and time of one file in one round trip (SIZE and
	// MDTM in one packet, or MLST). For directories it returns KindDir where
	// the server can tell, else ErrNotExist or ErrIsDir.
	Stat(ctx context.Context, path string) (Entry, error)

	// StatBatch is Stat for many files of one directory in one round trip
	// where the server can. The i-th result belongs to paths[i].
	StatBatch(ctx context.Context, paths []string) ([]StatResult, error)

	// Times asks for the modification times of many files of one directory in one
	// round trip where the server can. The i-th is that of paths[i], to the second
	// and in UTC (MDTM: RFC 3659, 3); zero where the server does not tell.
	Times(ctx context.Context, paths []string) ([]time.Time, error)

	// Open starts a download at offset bytes, if the file is in the version
	// base: it is asked in the same round trip. AnyVersion: it is not asked. The session is busy, and ctx
	// counts, until the Download is closed. ErrConflict, ErrNotExist, ErrPermission, ErrIsDir.
	Open(ctx context.Context, path string, offset int64, base Version) (Download, error)

	// Store uploads r to path and commits it; see Commit. The error of a
	// source that fails (r) is returned as it is, wrapped in an Error whose
	// outcome is NotExecuted if path cannot have changed and Unknown else;
	// the data connection is then reset so that the server cannot take the
	// part for the whole. The Entry describes the file as it is now on the server:
	// Size always, Time and Mode where known.
	Store(ctx context.Context, path string, r io.Reader, c Commit) (Entry, error)

	// Append adds r to the end of the file at path, which must have offset bytes
	// and be c.Base (ErrConflict), and then is as Store: c.Size is what the file
	// has afterwards, c.RenameTo is not supported. Only for servers whose
	// Abilities say that they append. An error that is Unknown leaves a file
	// of any size between the two.
	Append(ctx context.Context, path string, offset int64, r io.Reader, c Commit) (Entry, error)

	// Copy has the server make a copy of the file from at path, where nothing
	// is, and commits it as Store does; c.Size is what it must have, and
	// c.Base is what is to be at c.RenameTo. ErrConflict if from is not base,
	// errors.ErrUnsupported where the server cannot.
	Copy(ctx context.Context, from string, base Version, path string, c Commit) (Entry, error)

	// Abilities returns what TryOut found out about the server, also in an
	// earlier run (Config.FactsFile); tried is false if it was not called.
	// It costs no round trip.
	Abilities() (a Abilities, tried bool)

	// TryOut finds out what the server does with uploads, and remembers it.
	// path is that of a scratch file, whose name is not taken: it is created
	// and removed. If the session breaks, it may be left behind.
	TryOut(ctx context.Context, path string) (Abilities, error)

	// Remove deletes a file, a symlink or an empty directory; the kind, from
	// a listing, selects DELE or RMD. Whether the directory is empty is the
	// caller's business: some servers' RMD removes trees.
	Remove(ctx context.Context, path string, kind Kind) error

	// RefusesFull tries out whether Remove of a directory that is not empty is
	// refused: some servers' RMD removes trees. It makes the directory scratch, whose
	// name must be free, and one in it, and removes both, in one round trip where
	// the server can. false is also the answer where the trial told nothing.
	RefusesFull(ctx context.Context, scratch string) (bool, error)

	// Rename moves from to to; most servers replace a file there.
	Rename(ctx context.Context, from, to string) error

	// Mkdir creates a directory. ErrExist, ErrNotExist, ErrPermission.
	Mkdir(ctx context.Context, path string) error

	// RefusesMade reports whether Mkdir is known to refuse what exists already,
	// so that a directory which it made is empty. It costs no round trip.
	RefusesMade() bool

	// Symlink makes path a symlink to target, an absolute path.
	// errors.ErrUnsupported where the server cannot.
	Symlink(ctx context.Context, target, path string) error

	// Chmod sets permission bits. errors.ErrUnsupported where the server cannot.
	Chmod(ctx context.Context, path string, mode fs.FileMode) error

	// SetTime sets the modification time, to the second.
	// errors.ErrUnsupported where the server cannot.
	SetTime(ctx context.Context, path string, t time.Time) error

	// Space returns how much may still be stored in dir.
	// errors.ErrUnsupported where the server does not tell.
	Space(ctx context.Context, dir string) (Space, error)

	// Home returns the login directory, absolute. It costs no round trip.
	Home() string

	// Noop keeps the session alive.
	Noop(ctx context.Context) error

	// Ready reports whether a transfer or a listing can begin at once, without
	// waiting for what the last one has left to do. It costs no round trip and
	// may be called from any goroutine.
	Ready() bool

	// Err returns nil as long as the session can be used.
	Err() error

	// Close ends the session without waiting for the server. It may be called
	// at any time and from any goroutine, also during a verb, which then fails.
	Close() error
}

// Space is the room that a server lets us have, in bytes.
type Space struct {
	Free  int64
	Total int64 // free and used; 0: not known
}

// Coming is told of a listing while it comes. Any of its functions may be nil;
// they must be quick, and copy what they keep of the slices that they get.
type Coming struct {
	// Early gets entries of a large directory, in the order of the server, before
	// all have come; the Listing has only the others. It may change their times.
	// It is not called for listings of up to EarlyFrom entries.
	Early func([]Entry)

	// Sent gets the other entries when no more will come, but before the server
	// has said whether these are all, and whether it was this directory: a round
	// trip before the Listing.
	Sent func([]Entry)
}

// EarlyFrom is how many entries a listing has at least before ListEarly hands
// any of them out.
const EarlyFrom = 1000

// Abilities are what servers do differently with uploads.
type Abilities struct {
	Appends bool // Append adds to the file; some servers overwrite it
}

// Listing is a directory as the server listed it.
type Listing struct {
	Entries  []Entry  // in the order of the server; no name twice
	Early    int      // entries that are not in Entries, for ListEarly handed them out
	Complete bool     // false if the server cut it or lines could not be read
	Refused  []string // lines and names that were not taken, at most 10, for the log
	NRefused int      // how many they were
}

// Len returns the number of entries.
func (l Listing) Len() int { return l.Early + len(l.Entries) }

// StatResult is the outcome of one file of a StatBatch.
type StatResult struct {
	Entry Entry
	Err   error
}

// Download is the data of one RETR. Read returns io.EOF only once the server
// said that the transfer is complete; an early end is an error that wraps
// io.ErrUnexpectedEOF or the server's refusal. Close before EOF gives the
// transfer up; it may take until the server's reply to that is read.
type Download interface {
	io.ReadCloser
}

// Commit says what Store does around the upload, in as few round trips as
// the server allows.
type Commit struct {
	Size     int64       // bytes that r gives; the server's SIZE must agree afterwards, else ErrShortStore
	Time     time.Time   // modification time to set, where the server can; zero: leave
	Mode     fs.FileMode // permission bits to set if SetMode, where the server can
	SetMode  bool
	Base     Version // what must be at the final path just before the upload: else ErrConflict; AnyVersion: do not look
	RenameTo string  // after the checks, the final path to rename to; empty: path is final
	KeepMode bool    // do not rename, but fail with errors.ErrUnsupported, where Mode cannot be set

	// Late, if it is set, is asked for the rest when all bytes are sent: for
	// uploads that begin before the file is complete. With it, nothing else here counts.
	Late func() Commit
}
