package cache

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"ftpfs/conn"
)

// The journal of a mount is the file "journal" in its folder. It is text, one
// record a line:
//
//	CCCCCCCC {JSON}\n
//
// where CCCCCCCC is the CRC-32C (Castagnoli) of the JSON in eight lower-case
// hexadecimal digits. Records are appended. Ids are one sequence of numbers
// for nodes, versions and files, from 2 on; node 1 is the server's root
// directory. Byte counts are decimal, times are {"s": Unix seconds, "ns": nanoseconds}.
// Names that are not UTF-8 are base64 in "raw" instead of "name". The records:
//
//	{"op":"journal","format":1,"boot":B}          always first; B: the boot it was written in, "" if unknown
//	{"op":"node","id":N,"parent":P,"name":NAME}   N is NAME in directory P
//	{"op":"move","id":N,"parent":P,"name":NAME}   N was renamed; what N replaces is superseded, or gone
//	{"op":"gone","id":N}                          N was removed with all that is below it
//	{"op":"dirty","node":N,"file":F,"missing":[…]}  copies/F has, or will have, changes of N that are not sealed;
//	                      "old":G: F is a clone that takes G's place; "quiet":true: not as long as the modification time of copies/F is 1 s after the epoch
//	{"op":"clean","file":F}                       … has none any more
//	{"op":"seal","id":V,"node":N,"file":F,"size":…,"gen":…,"missing":[…],"base":{…},"time":{…},"mode":M}
//	                      version V of N must reach the server: the first "size" bytes of copies/F, of which the ranges
//	                      "missing" are those of "base"; "mode" only if it is to be set. V supersedes N's former version.
//	                      "sent":true: an upload was attempted, "tried":true: in place; "earlier":[{…},…]: so were
//	                      those of versions with these sizes and times, which V superseded. "tail":N: the first N bytes are those of "base". "local":true: V stays here instead.
//	                      F is no longer dirty.
//	{"op":"sync","id":V,"missing":[…]}            V's bytes and all records to here are durable
//	{"op":"base","id":V,"base":{…}}               V is now made from another base; earlier attempts are settled
//	{"op":"try","id":V,"node":N}                  an upload of V begins, to the temporary file N if that is given
//	{"op":"end","id":V,"node":N}                  V is on the server, given up, or in the recovery folder; N is gone
//	{"op":"keep","file":F,"name":PATH,"base":{…}} copies/F is the whole of PATH in the version "base", and clean;
//	                      "synced":true: durably so. "dirty" and "seal" of F end that, as does
//	{"op":"drop","file":F}                        … F is a clean copy no more
//	{"op":"temp","id":N}                          N is a temporary file of ours that may be on the server
//	{"op":"notemp","id":N}                        … not any more
//
// A line that is cut or does not match its sum ends the journal. Version V,
// once durable, stays on the disk until the version that superseded it is
// durable, too, or ended. index.apply is the meaning of each record, for the
// running mount and for the replay alike.
const journalFormat = 1

// compactAt is the size in bytes from which a journal is written anew, if it
// has grown fourfold since the last time.
const compactAt = 1 << 20

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// record is one line of the journal.
type record struct {
	Op      string      `json:"op"`
	Format  int         `json:"format,omitempty"`
	Boot    string      `json:"boot,omitempty"`
	ID      uint64      `json:"id,omitempty"`
	Parent  uint64      `json:"parent,omitempty"`
	Name    string      `json:"name,omitempty"`
	Raw     []byte      `json:"raw,omitempty"`
	Node    uint64      `json:"node,omitempty"`
	File    uint64      `json:"file,omitempty"`
	Old     uint64      `json:"old,omitempty"`
	Size    int64       `json:"size,omitempty"`
	Gen     uint64      `json:"gen,omitempty"`
	Missing []Range     `json:"missing,omitempty"`
	Base    *baseRecord `json:"base,omitempty"`
	Time    *instant    `json:"time,omitempty"`
	Mode    *uint32     `json:"mode,omitempty"` // io/fs.FileMode
	Tried   bool        `json:"tried,omitempty"`
	Synced  bool        `json:"synced,omitempty"`
	Sent    bool        `json:"sent,omitempty"`
	Tail    int64       `json:"tail,omitempty"`
	Local   bool        `json:"local,omitempty"`
	Quiet   bool        `json:"quiet,omitempty"`

	Earlier []*baseRecord `json:"earlier,omitempty"`
}

func (r *record) setName(name string) {
	if utf8.ValidString(name) {
		r.Name = name
	} else {
		r.Raw = []byte(name)
	}
}

func (r *record) name() string {
	if r.Raw != nil {
		return string(r.Raw)
	}
	return r.Name
}

// instant is a time.Time that JSON can hold whatever its year.
type instant struct {
	Sec  int64 `json:"s"`
	Nsec int   `json:"ns"`
}

func toInstant(t time.Time) *instant {
	if t.IsZero() {
		return nil
	}
	return &instant{t.Unix(), t.Nanosecond()}
}

func (i *instant) time() time.Time {
	if i == nil {
		return time.Time{}
	}
	return time.Unix(i.Sec, int64(i.Nsec)).UTC()
}

// baseRecord is a conn.Version.
type baseRecord struct {
	State     string        `json:"state"` // "any", "absent", "present"
	Size      int64         `json:"size"`
	Time      *instant      `json:"time,omitempty"`
	Precision time.Duration `json:"precision"` // nanoseconds
}

func toBase(v conn.Version) *baseRecord {
	b := &baseRecord{State: "any", Size: v.Size, Time: toInstant(v.Time), Precision: v.Precision}
	switch v.State {
	case conn.Absent:
		b.State = "absent"
	case conn.Present:
		b.State = "present"
	}
	return b
}

func (b *baseRecord) version() conn.Version {
	if b == nil {
		return conn.Version{}
	}
	v := conn.Version{Size: b.Size, Time: b.Time.time(), Precision: b.Precision}
	switch b.State {
	case "absent":
		v.State = conn.Absent
	case "present":
		v.State = conn.Present
	}
	return v
}

// encode returns the lines of recs.
func encode(recs []record) ([]byte, error) {
	var out []byte
	for _, r := range recs {
		b, err := json.Marshal(r)
		if err != nil {
			return nil, fmt.Errorf("journal: %w", err)
		}
		out = fmt.Appendf(out, "%08x %s\n", crc32.Checksum(b, castagnoli), b)
	}
	return out, nil
}

// decode returns the record in line, which has no newline any more, and
// whether it is whole.
func decode(line []byte) (r record, ok bool) {
	if len(line) < 10 || line[8] != ' ' {
		return r, false
	}
	sum, err := strconv.ParseUint(string(line[:8]), 16, 32)
	if err != nil || uint32(sum) != crc32.Checksum(line[9:], castagnoli) {
		return r, false
	}
	return r, json.Unmarshal(line[9:], &r) == nil
}

// replay is what a journal says.
type replay struct {
	header  record
	index   *index
	damaged bool              // whole records follow one that is not
	names   map[uint64]string // of files of which only records after the damage tell; path by file
}

// readJournal reads the journal called name. A journal without a whole
// header is damaged and empty.
func readJournal(disk Disk, name string) (*replay, error) {
	text, err := readFile(disk, name)
	if err != nil {
		return nil, err
	}
	rp := &replay{index: newIndex(), names: make(map[uint64]string)}
	all, broken := newIndex(), false // all: also what follows the damage, for names
	for i := 0; len(text) > 0; i++ {
		line, rest, whole := bytes.Cut(text, []byte("\n"))
		text = rest
		r, ok := decode(line)
		switch {
		case !ok || !whole:
			broken = true
			continue
		case i == 0 && r.Op == "journal":
			rp.header = r
			continue
		case i == 0 || broken:
			broken, rp.damaged = true, true
		default:
			_, err := rp.index.apply(r)
			broken = err != nil
			rp.damaged = rp.damaged || broken
		}
		// Errors here come from the records that are lost; the rest still helps.
		_, _ = all.apply(r)
		if n := all.nodes[r.Node]; n != nil && r.File != 0 {
			rp.names[r.File] = n.path()
		}
	}
	if rp.header.Op == "" {
		rp.damaged = true
	}
	return rp, nil
}

// journal appends to a journal file.
type journal struct {
	disk Disk
	dir  string // of the mount

	size    int64        // guarded by Store.mu; where the next record goes
	base    int64        // guarded by Store.mu; size after the last compaction
	broken  error        // guarded by Store.mu; why nothing can be appended any more
	written atomic.Int64 // counts the bytes ever appended: positions for flush

	syncMu  sync.Mutex
	failed  error        // guarded by syncMu; a failed fsync: what it did to the pages nobody knows
	file    File         // changed with Store.mu and syncMu held
	durable atomic.Int64 // up to here everything is; changed with syncMu held
}

func (j *journal) name() string { return j.dir + "/journal" }

// append writes lines behind the others and returns the position that flush takes. After an error the
// journal is as it was.
func (j *journal) append(lines []byte) (int64, error) {
	if j.broken != nil {
		return 0, j.broken
	}
	if _, err := j.file.WriteAt(lines, j.size); err != nil {
		// What was written of the lines must not stay: whole ones would count.
		if terr := j.file.Truncate(j.size); terr != nil {
			j.broken = fmt.Errorf("journal is cut: %w", terr)
		}
		return 0, fmt.Errorf("journal: %w", err)
	}
	j.size += int64(len(lines))
	return j.written.Add(int64(len(lines))), nil
}

// flush returns once everything up to position to is durable. Callers that
// come together share one fsync.
func (j *journal) flush(to int64) error {
	if j.durable.Load() >= to {
		return nil
	}
	j.syncMu.Lock()
	defer j.syncMu.Unlock()
	if j.durable.Load() >= to {
		return nil
	}
	if j.failed != nil {
		return j.failed
	}
	if j.file == nil {
		return fs.ErrClosed
	}
	at := j.written.Load()
	if err := j.file.Sync(); err != nil {
		j.failed = fmt.Errorf("journal: %w", err)
		return j.failed
	}
	j.durable.Store(at)
	return nil
}

// rewrite replaces the journal by one with only lines. The exchange is
// atomic, and durable when rewrite returns.
func (j *journal) rewrite(lines []byte) error {
	j.syncMu.Lock()
	defer j.syncMu.Unlock()
	tmp := j.name() + ".new"
	f, err := j.disk.OpenFile(tmp, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	_, err = f.WriteAt(lines, 0)
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = j.disk.Rename(tmp, j.name())
	}
	if err != nil {
		return fmt.Errorf("journal: %w", errors.Join(err, f.Close()))
	}
	if j.file != nil {
		j.file.Close() // nothing is in it that f has not
	}
	j.file, j.size, j.base, j.broken = f, int64(len(lines)), int64(len(lines)), nil
	if j.failed = j.disk.SyncDir(j.dir); j.failed != nil {
		return fmt.Errorf("journal: %w", j.failed)
	}
	j.durable.Store(j.written.Load())
	return nil
}

// wantsRewrite reports whether the journal is worth writing anew, or cannot
// be appended to before it is.
func (j *journal) wantsRewrite() bool {
	return j.broken != nil || j.size > compactAt && j.size > 4*j.base
}

func (j *journal) close() error {
	j.syncMu.Lock()
	defer j.syncMu.Unlock()
	if j.file == nil {
		return nil
	}
	f := j.file
	j.file = nil
	j.broken = fs.ErrClosed
	return f.Close()
}
