package cache

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path"
	"strings"
	"time"

	"ftpfs/conn"
)

// Recovered describes a file in the recovery folder: bytes that were to reach the server, and did not.
type Recovered struct {
	File    string       // local path
	Path    string       // on the server; empty if it is not known any more
	Size    int64        // bytes
	Base    conn.Version // what the bytes were made from
	Time    time.Time    // when it came to the recovery folder
	Missing []Range      // at most these ranges were never present: they are zeros here, and were the base's
	Reason  string       // why it is here
}

// recoveredRecord is the JSON beside the file.
type recoveredRecord struct {
	Path    string      `json:"path,omitempty"`
	Raw     []byte      `json:"raw,omitempty"` // Path, if it is not UTF-8
	Size    int64       `json:"size"`
	Base    *baseRecord `json:"base"`
	Time    time.Time   `json:"time"`
	Missing []Range     `json:"missing,omitempty"`
	Reason  string      `json:"reason"`
}

// Refuse ends the version because the server will not take it, for the reason
// given, and moves its bytes to the recovery folder: a Copy that shares them goes on with a clone when it is
// written. It returns the local path of the file, which is durable then.
func (v *Sealed) Refuse(reason string) (where string, err error) {
	if err := v.hold(); err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, v.unhold()) }()
	a := v.Attrs()
	where, err = v.store.toRecovery(v.data, v, Recovered{Path: v.Path(), Size: v.size, Base: a.Base,
		Missing: v.data.allMissing(v.size), Reason: reason})
	if err != nil {
		return "", err
	}
	if err := v.Drop(); errors.Is(err, ErrNotPending) {
		return where, nil // it was superseded meanwhile: one copy too many is no harm
	} else if err != nil {
		return where, err
	}
	return where, v.store.journal.flush(v.store.journal.written.Load())
}

// toRecovery puts the first r.Size bytes of d, which the caller has acquired,
// into the recovery folder. The file itself is moved if nothing but ended
// needs it in copies/; a Copy may go on reading it there.
func (s *Store) toRecovery(d *data, ended *Sealed, r Recovered) (where string, err error) {
	move, err := s.freeze(d, ended, r.Size)
	if err != nil {
		return "", err
	}
	where, err = s.reserve(r)
	if err == nil && move {
		err = s.moveTo(d, where)
	} else if err == nil {
		err = s.cloneInto(d, r.Size, where)
	}
	if err != nil {
		if move {
			s.thaw(d)
		}
		return "", fmt.Errorf("recovery folder: %w", err)
	}
	s.log.Warn("bytes that did not reach the server are in the recovery folder",
		"path", r.Path, "file", where, "reason", r.Reason)
	return where, nil
}

// freeze forbids any change of d for good, so that it can be moved, and
// reports whether that is possible: nothing else in the journal may need the
// file, and there must not be more in it than the size bytes.
func (s *Store) freeze(d *data, ended *Sealed, size int64) (bool, error) {
	s.mu.Lock()
	defer s.unlock()
	for v := range d.guards {
		if v != ended && s.index.versions[v.id] == v {
			return false, nil
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.frozen() || d.owner != nil && (d.owner.Exposed() || d.size > size && d.owner.refs > 0) {
		return false, nil
	}
	if err := d.resizeLocked(size); err != nil {
		return false, err
	}
	d.protected.Store(math.MaxInt64)
	if d.owner != nil {
		s.dropKeptLocked(d.owner)
	}
	return true, nil
}

func (s *Store) thaw(d *data) {
	s.mu.Lock()
	defer s.unlock()
	d.protected.Store(0)
	d.protectLocked()
}

// reserve makes a file in the recovery folder that no other has the name of,
// still empty, and its description.
func (s *Store) reserve(r Recovered) (where string, err error) {
	now := time.Now().UTC()
	rec := recoveredRecord{Path: r.Path, Size: r.Size, Base: toBase(r.Base), Time: now,
		Missing: r.Missing, Reason: r.Reason}
	if strings.ToValidUTF8(r.Path, "") != r.Path {
		rec.Path, rec.Raw = "", []byte(r.Path)
	}
	text, err := json.MarshalIndent(rec, "", "\t")
	if err != nil {
		return "", err
	}
	stem := path.Join(s.home, "recovery", now.Format("20060102T150405.000Z")+"-"+recoveryName(r.Path))
	for i := 1; ; i++ {
		where = stem
		if i > 1 {
			where = fmt.Sprintf("%s-%d", stem, i)
		}
		if err = writeFile(s.disk, where, nil); errors.Is(err, fs.ErrExist) {
			continue
		} else if err != nil {
			return "", err
		}
		if err = writeFile(s.disk, where+".json", append(text, '\n')); err == nil {
			return where, nil
		}
		err = errors.Join(err, s.disk.Remove(where))
		if !errors.Is(err, fs.ErrExist) {
			return "", err
		}
	}
}

// recoveryName is the last name of a server path, made fit for any local
// file system, with room for the time before it and ".json" behind it.
func recoveryName(p string) string {
	const room = 200 // of 255 bytes
	name := strings.ToValidUTF8(path.Base(p), "_")
	if p == "" {
		name = "unknown"
	}
	if len(name) <= room {
		return name
	}
	ext := path.Ext(name)
	if len(ext) > 20 {
		ext = ""
	}
	return strings.ToValidUTF8(name[:room-len(ext)], "") + ext
}

// moveTo moves the file of d, which is frozen, over the empty file at where,
// durably. After an error the file is where it was, and neither where nor its description is there.
func (s *Store) moveTo(d *data, where string) error {
	if err := d.sync(); err != nil {
		return errors.Join(err, s.unreserve(where))
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := s.disk.Rename(d.path, where); err != nil {
		return errors.Join(err, s.unreserve(where))
	}
	if err := s.disk.SyncDir(path.Dir(where)); err != nil {
		return errors.Join(err, s.disk.Rename(where, d.path), s.disk.Remove(where+".json"))
	}
	d.path = where
	return nil
}

// cloneInto makes the empty file at where the first n bytes of d, durably.
// After an error neither where nor its description is there.
func (s *Store) cloneInto(d *data, n int64, where string) error {
	f, err := s.disk.OpenFile(where, os.O_RDWR, 0)
	if err != nil {
		return errors.Join(err, s.unreserve(where))
	}
	d.mu.RLock()
	if d.file == nil {
		err = fs.ErrClosed
	} else {
		err = f.CloneFrom(d.file, n)
	}
	d.mu.RUnlock()
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = s.disk.SyncDir(path.Dir(where))
	}
	if err != nil {
		return errors.Join(err, s.unreserve(where))
	}
	return nil
}

// unreserve takes back what reserve made.
func (s *Store) unreserve(where string) error {
	return errors.Join(s.disk.Remove(where+".json"), s.disk.Remove(where))
}

// saveDirty moves the unsealed content of c to the recovery folder, if it is marked.
func (s *Store) saveDirty(c *Copy, reason string) error {
	s.mu.Lock()
	d := c.data
	m, ok := s.index.marks[d.id]
	if !ok || s.closed {
		s.unlock()
		return nil
	}
	where := m.node.path()
	s.unlock()
	if untouched, err := c.untouched(); err != nil {
		return err
	} else if m.quiet && untouched {
		if is, err := d.writable(); is && c.Exposed() || err != nil {
			return err // the mark stays for what may come through a map
		}
		return s.unmarkFile(d)
	}
	_, err := s.toRecovery(d, nil, Recovered{Path: where, Size: c.size.Load(),
		Missing: d.allMissing(c.size.Load()), Reason: reason})
	if err != nil || c.Exposed() {
		return err
	}
	return s.unmarkFile(d)
}

// untouched takes note of what others have written into c, and reports whether there
// is nothing that is not sealed. While a clone is made nobody can tell.
func (c *Copy) untouched() (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, err := c.lookLocked(); err != nil {
		return false, err
	}
	_, at, err := c.data.measure()
	return at.Equal(quiet()) && !c.cloning, err
}

// unmarkFile takes the mark off d, if it still has one: a user may have come
// back and written, and then the mark is with the clone.
func (s *Store) unmarkFile(d *data) error {
	s.mu.Lock()
	defer s.unlock()
	if _, ok := s.index.marks[d.id]; !ok {
		return nil
	}
	_, err := s.logLocked(record{Op: "clean", File: d.id})
	return err
}

// saveAllDirty does saveDirty for every copy.
func (s *Store) saveAllDirty(reason string) error {
	var dirty []*Copy
	s.mu.Lock()
	for file := range s.index.marks {
		if d := s.files[file]; d != nil && d.owner != nil {
			dirty = append(dirty, d.owner)
		}
	}
	s.unlock()
	var errs []error
	for _, c := range dirty {
		errs = append(errs, s.saveDirty(c, reason))
	}
	return errors.Join(errs...)
}

// Recovery lists the recovery folder of the identity, which all its mounts share, oldest first.
func (s *Store) Recovery() ([]Recovered, error) {
	dir := path.Join(s.home, "recovery")
	names, err := s.disk.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var out []Recovered
	for _, name := range names {
		file, ok := strings.CutSuffix(path.Join(dir, name), ".json")
		if !ok {
			continue
		}
		var rec recoveredRecord
		text, err := readFile(s.disk, file+".json")
		if err != nil || json.Unmarshal(text, &rec) != nil || rec.Base == nil {
			continue // a recovered file that is called so itself
		}
		if n, err := fileSize(s.disk, file); err != nil || n != rec.Size {
			continue // being moved, or not: the journal still has it then
		}
		if rec.Raw != nil {
			rec.Path = string(rec.Raw)
		}
		out = append(out, Recovered{File: file, Path: rec.Path, Size: rec.Size, Base: rec.Base.version(),
			Time: rec.Time, Missing: rec.Missing, Reason: rec.Reason})
	}
	return out, nil
}
