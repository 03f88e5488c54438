package cache

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"math"
	"os"
	"path"
	"slices"
	"strconv"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// Options are the settings of a Store.
type Options struct {
	CacheSize int64        // bytes on disk that clean copies may take while nobody uses them; 0: none are kept
	Disk      Disk         // nil: the operating system's
	Log       *slog.Logger // nil: discard
}

// Store keeps the copies of one mount and its journal. It is safe for concurrent use.
type Store struct {
	disk      Disk
	log       *slog.Logger
	cacheSize int64
	root      string // of all identities
	home      string // of the identity
	id        string
	dir       string // of the mount
	lock      io.Closer
	journal   journal

	mu        sync.Mutex
	closed    bool                         // guarded by mu
	index     *index                       // guarded by mu; what the journal says
	files     map[uint64]*data             // guarded by mu; all in copies/
	doomed    []*data                      // guarded by mu; to be removed by unlock
	spare     *data                        // guarded by mu; an empty file for the next copy, with one user; see Spare
	kept      map[string]*Copy             // guarded by mu; clean copies by server path
	idle      *simplelru.LRU[*Copy, int64] // guarded by mu; those of kept that nobody uses, with their bytes on disk
	idleBytes int64                        // guarded by mu; the sum of idle
}

// Owner is the process that has a mount's folder.
type Owner struct {
	PID        int    `json:"pid"`
	Mountpoint string `json:"mountpoint"`
}

// Open makes the folder of a new mount below root, which is created if it is
// missing. identity names the server and the user (for example
// "alice@host:21"); mounts with the same one share a folder and can Adopt what others left.
func Open(root, identity string, o Options) (*Store, error) {
	s := newStore(root, Home(root, identity), o)
	if err := s.makeHome(identity); err != nil {
		return nil, fmt.Errorf("cache folder: %w", err)
	}
	for {
		err := s.create()
		if err == nil {
			return s, nil
		}
		// The id may be taken, or a starting mount took our folder for a leftover.
		if !errors.Is(err, fs.ErrExist) && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, ErrLocked) {
			return nil, fmt.Errorf("cache folder: %w", err)
		}
	}
}

// Home returns the folder of identity below root, which all its mounts share.
func Home(root, identity string) string {
	sum := sha256.Sum256([]byte(identity))
	return path.Join(root, hex.EncodeToString(sum[:8]))
}

func newStore(root, home string, o Options) *Store {
	if o.Disk == nil {
		o.Disk = osDisk{}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	idle, _ := simplelru.NewLRU[*Copy, int64](math.MaxInt, nil) // fails only for sizes below 1
	return &Store{
		disk: o.Disk, log: o.Log, cacheSize: o.CacheSize, root: root, home: home,
		index: newIndex(), files: make(map[uint64]*data), kept: make(map[string]*Copy), idle: idle,
	}
}

// makeHome makes the folder of the identity, durably.
func (s *Store) makeHome(identity string) error {
	for _, dir := range []string{path.Join(s.home, "mounts"), path.Join(s.home, "recovery")} {
		if err := mkdirAll(s.disk, dir); err != nil {
			return err
		}
	}
	name := path.Join(s.home, "identity")
	if text, err := readFile(s.disk, name); err == nil && string(text) == identity+"\n" {
		return nil
	}
	if err := replaceFile(s.disk, name, []byte(identity+"\n")); err != nil {
		return err
	}
	return errors.Join(s.disk.SyncDir(s.home), s.disk.SyncDir(s.root))
}

// create makes the mount's folder under a hidden name and shows it when it
// is locked and whole, so that nobody takes it for one that was left behind.
func (s *Store) create() (err error) {
	var random [4]byte
	rand.Read(random[:]) // never fails
	s.id = hex.EncodeToString(random[:])
	mounts := path.Join(s.home, "mounts")
	hidden := path.Join(mounts, ".new-"+s.id)
	if err := s.disk.Mkdir(hidden, 0o700); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.journal.close(), s.unlockFolder())
		}
	}()
	if err := writeFile(s.disk, path.Join(hidden, "lock"), nil); err != nil {
		return err
	}
	if s.lock, err = s.disk.Lock(path.Join(hidden, "lock")); err != nil {
		return err
	}
	if err := s.disk.Mkdir(path.Join(hidden, "copies"), 0o700); err != nil {
		return err
	}
	s.setDir(hidden)
	if err := s.rewriteLocked(); err != nil {
		return err
	}
	if err := s.disk.Rename(hidden, path.Join(mounts, s.id)); err != nil {
		return err
	}
	s.setDir(path.Join(mounts, s.id))
	return s.disk.SyncDir(mounts)
}

func (s *Store) setDir(dir string) {
	s.dir = dir
	s.journal.disk, s.journal.dir = s.disk, dir
}

func (s *Store) unlockFolder() error {
	if s.lock == nil {
		return nil
	}
	err := s.lock.Close()
	s.lock = nil
	return err
}

// ID returns the mount's id: eight hexadecimal digits.
func (s *Store) ID() string { return s.id }

// SetOwner tells other mounts who has this folder (see Others).
func (s *Store) SetOwner(pid int, mountpoint string) error {
	text, err := json.Marshal(Owner{pid, mountpoint})
	if err != nil {
		return err
	}
	return replaceFile(s.disk, path.Join(s.dir, "owner"), append(text, '\n'))
}

// Usage returns the number of copies, sealed versions included, and the bytes they take on the disk.
func (s *Store) Usage() (copies int, bytes int64) {
	s.mu.Lock()
	bytes, copies = s.idleBytes, len(s.files)
	if s.spare != nil {
		copies--
	}
	var used []*data
	for _, d := range s.files {
		if d.owner == nil || !s.idle.Contains(d.owner) {
			used = append(used, d)
		}
	}
	s.unlock()
	for _, d := range used {
		bytes += d.bytes()
	}
	return copies, bytes
}

// Close gives the mount's folder up. Unsealed changes go to the recovery
// folder. If nothing is pending and no clean copy is kept, the folder is removed; else
// the journal and what it needs stay for a later Adopt. Copies and readers still open fail with
// fs.ErrClosed afterwards. Only the first call does anything.
func (s *Store) Close() error {
	errs := []error{s.saveAllDirty("unmounted with changes that were not sealed")}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	if len(s.index.keeps) > 0 {
		s.syncKeptLocked()
		errs = append(errs, s.rewriteLocked())
	}
	s.closed = true
	for _, file := range slices.Sorted(maps.Keys(s.files)) {
		d := s.files[file]
		d.mu.Lock()
		if d.file != nil {
			errs = append(errs, d.file.Close())
			d.file = nil
		}
		d.mu.Unlock()
		if !s.neededLocked(d) {
			s.remove(d)
		}
	}
	errs = append(errs, s.journal.close())
	if s.index.empty() && len(s.index.keeps) == 0 {
		errs = append(errs, retire(s.disk, s.dir))
	}
	return errors.Join(append(errs, s.unlockFolder())...)
}

// neededLocked reports whether the journal needs the file of d.
func (s *Store) neededLocked(d *data) bool {
	if _, dirty := s.index.marks[d.id]; dirty {
		return true
	}
	if _, clean := s.index.keeps[d.id]; clean {
		return true
	}
	for v := range d.guards {
		if s.index.versions[v.id] == v {
			return true
		}
	}
	return false
}

// Spare makes the file that the next copy will need, if there is none: to make
// one takes longer than all else that a program which creates a file waits for here.
func (s *Store) Spare() {
	s.mu.Lock()
	there := s.spare != nil
	s.unlock()
	if there {
		return
	}
	d, err := s.newData()
	if err != nil {
		return // who needs it will see why
	}
	s.mu.Lock()
	defer s.unlock()
	if s.spare == nil && !s.closed {
		s.spare = d
		return
	}
	s.reapLocked(d)
	d.release()
}

// newData makes an empty file, with one user, or takes the spare one.
func (s *Store) newData() (*data, error) {
	s.mu.Lock()
	if s.closed {
		s.unlock()
		return nil, fs.ErrClosed
	}
	if d := s.spare; d != nil {
		s.spare = nil
		s.unlock()
		return d, nil
	}
	d := s.dataLocked(s.index.newID())
	s.unlock()
	f, err := s.disk.OpenFile(d.path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	s.mu.Lock()
	defer s.unlock()
	if err == nil && s.closed {
		err = errors.Join(fs.ErrClosed, f.Close())
	}
	if err != nil {
		delete(s.files, d.id)
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.file, d.uses = f, 1
	return d, nil
}

// dataLocked enters the file called id.
func (s *Store) dataLocked(id uint64) *data {
	d := &data{store: s, id: id, guards: make(map[*Sealed]int)}
	d.path = path.Join(s.dir, "copies", strconv.FormatUint(id, 10))
	s.files[id] = d
	return d
}

// disposeLocked takes c, which nobody uses or keeps, off its file.
func (s *Store) disposeLocked(c *Copy) {
	c.data.owner = nil
	s.reapLocked(c.data)
}

// reapLocked has the file of d removed if nothing needs it any more.
func (s *Store) reapLocked(d *data) {
	if d.owner == nil && len(d.guards) == 0 && s.files[d.id] == d {
		delete(s.files, d.id)
		s.doomed = append(s.doomed, d)
	}
}

// unlock unlocks mu and removes the files that are not needed any more, which
// can take long for large ones.
func (s *Store) unlock() {
	doomed := s.doomed
	s.doomed = nil
	s.mu.Unlock()
	for _, d := range doomed {
		s.remove(d)
	}
}

func (s *Store) remove(d *data) {
	if d.frozen() {
		return // it belongs to the recovery folder
	}
	if err := s.disk.Remove(d.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.log.Warn("a copy cannot be removed", "file", d.path, "err", err)
	}
}

// logLocked appends recs to the journal and applies them to the index. If
// that fails nothing has changed. The versions that ended are the caller's to let go (endLocked).
func (s *Store) logLocked(recs ...record) (ended []*Sealed, err error) {
	if s.closed {
		return nil, fs.ErrClosed
	}
	if s.journal.wantsRewrite() {
		if err := s.rewriteLocked(); err != nil && s.journal.broken != nil {
			return nil, err
		} else if err != nil {
			s.log.Warn("the journal grows: it cannot be written anew", "dir", s.dir, "err", err)
			s.journal.base = s.journal.size // not again soon
		}
	}
	lines, err := encode(recs)
	if err != nil {
		return nil, err
	}
	if _, err := s.journal.append(lines); err != nil {
		return nil, err
	}
	for _, r := range recs {
		e, aerr := s.index.apply(r)
		ended, err = append(ended, e...), errors.Join(err, aerr)
	}
	return ended, err
}

// rewriteLocked writes the journal anew, with only what counts.
func (s *Store) rewriteLocked() error {
	header := record{Op: "journal", Format: journalFormat, Boot: s.disk.Boot()}
	lines, err := encode(append([]record{header}, s.index.records()...))
	if err != nil {
		return err
	}
	return s.journal.rewrite(lines)
}

// settle returns once the bytes of d may be changed: a durable version that
// had them must have ended durably, else a power cut would bring it back with other bytes.
func (s *Store) settle(d *data) error { return s.journal.flush(d.settle.Load()) }

// syncData makes the bytes of d and its name durable. The caller has acquired it.
func (s *Store) syncData(d *data) error {
	if err := d.sync(); err != nil {
		return err
	}
	if d.named.Load() {
		return nil
	}
	if err := s.disk.SyncDir(path.Join(s.dir, "copies")); err != nil {
		return err
	}
	d.named.Store(true)
	return nil
}
