package tree

import (
	"path"
	"strings"

	"ftpfs/conn"
)

// Readlink returns the target of the symlink e at p: as the server has it if
// it is relative, else made so, if it stays inside the mounted tree. A link that
// leaves it could name any file of the local machine: conn.ErrNotOwner.
func (t *Tree) Readlink(p string, e conn.Entry) (string, error) {
	dir := path.Dir(p)
	to := e.Target
	if !path.IsAbs(to) {
		to = path.Join(dir, to)
	}
	to = path.Clean(to)
	if _, inside := moved(to, strings.TrimSuffix(t.Root(), "/"), ""); !inside || e.Target == "" {
		return "", &conn.Error{Op: "readlink", Path: p, Outcome: conn.Refused, Err: conn.ErrNotOwner}
	}
	verbatim := path.Clean(e.Target) // "a/../../x" would leave the tree if a is a link
	if !path.IsAbs(e.Target) && ups(verbatim) <= depth(t.Root(), dir) {
		return verbatim, nil
	}
	// The server's ".." stops at its root; the local one would go on, out of the mount.
	return relative(dir, to), nil
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
