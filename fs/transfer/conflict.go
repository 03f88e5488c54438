package transfer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"strings"
	"time"

	"ftpfs/cache"
	"ftpfs/conn"
)

// resolve ends the upload of s, which found that somebody else changed the
// file at p since it was opened here.
func (f *File) resolve(ctx context.Context, p string, s *cache.Sealed, j *job) error {
	mode := f.m.conflictMode(p)
	if !s.Complete() { // what is missing was in the version that the server had
		mode = Fail
	}
	switch mode {
	case Fail:
		err := &conn.Error{Op: "STOR", Path: p, Outcome: conn.Refused, Err: fmt.Errorf("%w: %w", conn.ErrBusy, conn.ErrConflict)}
		f.refused(p, s, j, err)
		return err
	case Overwrite:
		f.m.log.Warn("a file was changed on the server since it was opened here; ours replaces it", "path", p)
		f.mu.Lock()
		err := f.setBaseLocked(s, conn.Version{})
		f.mu.Unlock()
		if err != nil {
			return err
		}
		e, err := f.sendOnceOrTwice(ctx, p, s)
		if err == nil {
			f.sent(p, s, j, e)
		}
		return err
	}
	return f.keepBoth(ctx, p, s, j)
}

// conflictMode: of databases and repositories two versions side by side are
// worth nothing, and their programs know what to do about an error.
func (m *Manager) conflictMode(p string) ConflictMode {
	if strings.Contains(path.Dir(p)+"/", "/.git/") {
		return Fail
	}
	for _, pattern := range []string{"*.sqlite*", "*.db*"} {
		if ok, _ := path.Match(pattern, path.Base(p)); ok { // the patterns are good
			return Fail
		}
	}
	return m.o.Conflict
}

// keepBoth stores s under a name of its own, because somebody else changed
// the file at p since it was opened here. The name p is theirs then, and who
// has the file open goes on with ours.
func (f *File) keepBoth(ctx context.Context, p string, s *cache.Sealed, j *job) error {
	host, err := os.Hostname()
	if err != nil {
		host = "ftpfs"
	}
	ours := path.Join(path.Dir(p), conflictName(path.Base(p), host, time.Now()))
	f.m.log.Warn("a file was changed on the server since it was opened here; both versions are kept", "path", p, "ours", ours)
	f.m.mu.Lock()
	f.mu.Lock()
	if f.m.files[p] == f {
		delete(f.m.files, p)
	}
	f.path = ours
	f.m.files[ours] = f
	f.onServer = false
	f.entry.Name = path.Base(ours)
	shown := f.entry
	f.m.mu.Unlock()
	absent := conn.Version{State: conn.Absent}
	err = errors.Join(f.store.Rename(p, ours), f.setBaseLocked(s, absent)) // from here on it is a file of its own, and nothing was sealed under its name before
	f.mu.Unlock()
	f.m.tree.Hide(p)
	f.m.tree.Show(ours, shown)
	f.m.tree.Forget(path.Dir(p))
	if err != nil {
		return err
	}
	e, err := f.sendOnceOrTwice(ctx, ours, s)
	if err != nil {
		return err
	}
	f.sent(ours, s, j, e)
	return nil
}

// conflictName returns NAME.conflict-HOST-TIME, with the extension kept last
// and at most 255 bytes long.
func conflictName(name, host string, at time.Time) string {
	const longest = 255
	ext := path.Ext(name)
	if ext == name || len(ext) > 32 {
		ext = ""
	}
	tag := fmt.Sprintf(".conflict-%.64s-%s", strings.ReplaceAll(host, "/", "_"), at.UTC().Format("20060102-150405"))
	stem := strings.TrimSuffix(name, ext)
	return stem[:min(len(stem), longest-len(tag)-len(ext))] + tag + ext
}
