//go:build linux

package integration

import "testing"

// gitSettings make git's work depend on nothing but what it is given.
const gitSettings = `export GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null GIT_TERMINAL_PROMPT=0
export GIT_AUTHOR_NAME=A GIT_AUTHOR_EMAIL=a@example.org GIT_AUTHOR_DATE='2024-01-02T03:04:05Z'
export GIT_COMMITTER_NAME=C GIT_COMMITTER_EMAIL=c@example.org GIT_COMMITTER_DATE='2024-01-02T03:04:05Z'
export GIT_CONFIG_COUNT=3 GIT_CONFIG_KEY_0=pack.threads GIT_CONFIG_VALUE_0=1
export GIT_CONFIG_KEY_1=gc.auto GIT_CONFIG_VALUE_1=0 GIT_CONFIG_KEY_2=safe.directory GIT_CONFIG_VALUE_2='*'
`

// gitPrograms work in a repository inside the folder.
func gitPrograms() []program {
	return []program{{
		name: "git",
		run: func(t *testing.T, e env) string {
			return sh(t, e.Dir, gitSettings+gitWork) + sh(t, e.Dir, gitSettings+gitClones)
		},
		// The index holds inode numbers, the reflog and the configuration of
		// a clone its origin; git init notes that there are no symlinks.
		varies: []string{"*/.git/index", "*/.git/config", "*/config", "clone*/.git/logs/HEAD", "clone*/.git/logs/refs/heads/*", "clone*/.git/logs/refs/remotes/*/HEAD"},
		again: func(t *testing.T, e env) string {
			return sh(t, e.Dir, gitSettings+`for r in repo clone clone-packed; do git -C $r status --porcelain; git -C $r fsck --full --strict 2>&1; git -C $r log --stat -p | sha256sum; done`)
		},
	}}
}

const gitWork = `git init -q -b main repo; cd repo
git config core.filemode
mkdir -p src/deep docs
for i in $(seq 15); do seq $i 200 > src/$i.txt; done
seq 1 20000 > docs/large; printf 'a\0b' > src/deep/binary; echo '*.o' > .gitignore; touch src/x.o
printf '#!/bin/sh\n' > run; chmod 755 run
git add .; git commit -q -m one
git status --porcelain; git status --porcelain
echo change >> src/1.txt; sed -i 5d docs/large; git mv src/2.txt src/two.txt; git rm -q src/3.txt
git status --porcelain
git commit -q -a -m two; git status --porcelain
git checkout -q -b side HEAD~1; echo side > src/side; git add src/side; git commit -q -m side
git checkout -q main; git merge -q -m merged side; git status --porcelain
echo stashed >> src/4.txt; git stash -q; git status --porcelain; git stash pop -q; git status --porcelain; git checkout -q src/4.txt
git tag -a v1 -m v1; git describe; git rebase -q --root; git reset -q --hard HEAD
git gc -q --prune=now; git fsck --full --strict 2>&1
git status --porcelain
git ls-files -s | sha256sum; git log --oneline --graph --all
git repack -q -a -d -f; git verify-pack .git/objects/pack/*.idx
git archive HEAD | tar -t | sha256sum
git diff --stat HEAD~1`

const gitClones = `
git clone -q repo clone; git clone -q --no-local repo clone-packed; git clone -q --bare repo bare.git
for r in clone clone-packed; do git -C $r status --porcelain; git -C $r fsck --full --strict 2>&1; git -C $r log --oneline | wc -l; done
cd clone; echo more > more; git add more; git commit -q -m more; git push -q ../bare.git main
cd ../clone-packed; git pull -q --ff-only ../bare.git main; cat more; git status --porcelain; git gc -q
git -C ../bare.git log --oneline -1; git -C ../bare.git fsck --full --strict 2>&1`
