package tree

import (
	"context"
	"io/fs"
	"path"
	"strings"
	"time"

	"ftpfs/conn"
)

// Symlinks says what becomes of the server's symlinks.
type Symlinks uint8

// The ways to show symlinks.
const (
	ContainSymlinks Symlinks = iota // those that leave the mounted tree cannot be read
	FollowSymlinks                  // those are shown as what they lead to
	RawSymlinks                     // targets are shown as the server has them, wherever they lead on this machine
)

// Readlink returns the target of the symlink e at p: as the server has it if
// it is relative, else made so, if it stays inside the mounted tree. A link that
// leaves it could name any file of the local machine: conn.ErrNotOwner, unless
// targets are shown raw.
func (t *Tree) Readlink(p string, e conn.Entry) (string, error) {
	if t.symlinks == RawSymlinks && e.Target != "" {
		return e.Target, nil
	}
	to, inside := t.inside(p, e)
	if !inside {
		return "", &conn.Error{Op: "readlink", Path: p, Outcome: conn.Refused, Err: conn.ErrNotOwner}
	}
	dir := path.Dir(p)
	verbatim := path.Clean(e.Target) // "a/../../x" would leave the tree if a is a link
	if !path.IsAbs(e.Target) && ups(verbatim) <= depth(t.Root(), dir) {
		return verbatim, nil
	}
	// The server's ".." stops at its root; the local one would go on, out of the mount.
	return relative(dir, to), nil
}

// inside returns where the symlink e at p leads to on the server, and whether
// that is known and below the root.
func (t *Tree) inside(p string, e conn.Entry) (to string, ok bool) {
	if to = e.Target; !path.IsAbs(to) {
		to = path.Join(path.Dir(p), to)
	}
	to = path.Clean(to)
	_, ok = moved(to, strings.TrimSuffix(t.Root(), "/"), "")
	return to, ok && e.Target != ""
}

// follow makes the links of a listing that lead out of the mounted tree what
// they lead to, as the server tells. A link to nothing stays one.
func (t *Tree) follow(ctx context.Context, s conn.Session, dir string, entries []conn.Entry) error {
	var out []int
	var paths []string
	for i, e := range entries {
		p := path.Join(dir, e.Name)
		if _, inside := t.inside(p, e); e.Kind == conn.KindSymlink && !inside {
			out, paths = append(out, i), append(paths, p)
		}
	}
	if len(out) == 0 {
		return nil
	}
	results, err := s.StatBatch(ctx, paths)
	if err != nil {
		return err
	}
	for k, r := range results {
		if r.Err == nil && r.Entry.Kind == conn.KindSymlink { // MLST of Pure-FTPd tells of the link
			if _, err := s.List(ctx, paths[k]); err == nil {
				r.Entry = conn.Entry{Kind: conn.KindDir, Size: -1, Time: r.Entry.Time, Precision: r.Entry.Precision}
			} else if conn.OutcomeOf(err) != conn.Refused {
				return err
			}
		}
		if r.Err == nil && (r.Entry.Kind == conn.KindFile || r.Entry.Kind == conn.KindDir) {
			r.Entry.Name = entries[out[k]].Name
			entries[out[k]] = r.Entry
		}
	}
	return nil
}

// Symlink makes p a symlink to target, a path inside the mounted tree that is
// relative to p's directory. conn.ErrNotOwner for others, fs.ErrExist,
// errors.ErrUnsupported where the server cannot.
func (t *Tree) Symlink(ctx context.Context, target, p string) (conn.Entry, error) {
	e := conn.Entry{Name: path.Base(p), Kind: conn.KindSymlink, Target: target, Size: int64(len(target)), Time: time.Now().UTC(), Precision: time.Minute}
	to, inside := t.inside(p, e)
	if !inside || path.IsAbs(target) {
		return conn.Entry{}, &conn.Error{Op: "symlink", Path: p, Outcome: conn.Refused, Err: conn.ErrNotOwner}
	}
	if _, err := t.current(ctx, p); err == nil {
		return conn.Entry{}, &conn.Error{Op: "symlink", Path: p, Outcome: conn.Refused, Err: fs.ErrExist}
	}
	err := t.once(ctx, func(ctx context.Context, s conn.Session) error { return s.Symlink(ctx, to, p) },
		func() (bool, error) { return t.exists(ctx, p) }, p)
	if err != nil {
		return conn.Entry{}, err
	}
	t.Put(p, e)
	return e, nil
}

// ups counts the ".." in front of a clean relative path.
func ups(p string) int { return strings.Count(p+"/", "../") }

// depth counts the components of dir below root.
func depth(root, dir string) int {
	rest := strings.Trim(strings.TrimPrefix(dir, root), "/")
	if rest == "" {
		return 0
	}
	return strings.Count(rest, "/") + 1
}

// relative returns the way from the directory dir to p, both absolute and clean.
func relative(dir, p string) string {
	from := strings.Split(strings.Trim(dir, "/"), "/")
	to := strings.Split(strings.Trim(p, "/"), "/")
	if dir == "/" {
		from = nil
	}
	n := 0
	for n < len(from) && n < len(to) && from[n] == to[n] {
		n++
	}
	way := strings.Repeat("../", len(from)-n) + strings.Join(to[n:], "/")
	if way = strings.TrimSuffix(way, "/"); way == "" {
		return "."
	}
	return way
}
