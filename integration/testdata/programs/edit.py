# Edits files in the current folder in the ways that Python programs do, and
# prints what it read back.
import dbm.dumb
import hashlib
import mmap
import os
import pickle
import shutil
import tempfile
import zipfile


def show(name):
    with open(name, "rb") as f:
        data = f.read()
    print(name, os.path.getsize(name), len(data), hashlib.sha256(data).hexdigest())


blob = bytes(i * 7 % 251 for i in range(300000))
with open("blob", "wb") as f:
    f.write(blob)

# Read, modify and write in place, back and forth.
with open("blob", "r+b") as f:
    for at in (0, 299990, 150000, 4095, 4096, 131071, 131073, 5):
        f.seek(at)
        old = f.read(7)
        f.seek(at)
        f.write(bytes(b ^ 0xFF for b in old))
    f.seek(-3, os.SEEK_END)
    f.write(b"end")
    f.seek(1000)
    print(f.read(4))
show("blob")

# Without buffers, at the same time as another descriptor reads.
with open("blob", "r+b", buffering=0) as f, open("blob", "rb", buffering=0) as reader:
    f.seek(200000)
    f.write(b"unbuffered")
    reader.seek(199995)
    print(reader.read(20))
    f.truncate(250000)
    reader.seek(249990)
    print(len(reader.read(100)))
show("blob")

# A hole, appending, growing and cutting.
with open("hole", "w+b") as f:
    f.seek(100000)
    f.write(b"after the hole")
    f.seek(99990)
    print(f.read())
with open("hole", "a+b") as f:
    f.write(b", and more")
    f.seek(0)
    print(len(f.read()))
with open("hole", "r+b") as f:
    f.truncate(120000)
    f.seek(0, os.SEEK_END)
    print(f.tell())
show("hole")

# Text with line buffering, read and written through one handle.
with open("text", "w+", buffering=1, encoding="utf-8") as f:
    for i in range(1000):
        f.write(f"line {i} äöü\n")
    f.seek(0)
    print(sum(1 for _ in f))
show("text")

# Safe replacement.
with tempfile.NamedTemporaryFile("w", dir=".", delete=False) as f:
    f.write("replaced\n")
    f.flush()
    os.fsync(f.fileno())
os.replace(f.name, "text")
show("text")

# Archives that are appended to, and databases of two files.
with zipfile.ZipFile("a.zip", "w", zipfile.ZIP_DEFLATED) as z:
    z.writestr(zipfile.ZipInfo("first"), blob)
with zipfile.ZipFile("a.zip", "a", zipfile.ZIP_DEFLATED) as z:
    z.writestr(zipfile.ZipInfo("second"), b"two")
    print(z.testzip(), z.namelist())
show("a.zip")
with dbm.dumb.open("db", "c") as db:
    for i in range(200):
        db[str(i)] = pickle.dumps(i)
    db["7"] = b"seven"
    del db["8"]
with dbm.dumb.open("db", "r") as db:
    print(len(db), db["7"], pickle.loads(db["199"]))

# A mapping.
with open("blob", "r+b") as f, mmap.mmap(f.fileno(), 0) as m:
    m[100:106] = b"mapped"
    m.flush()
    f.seek(98)
    print(f.read(10))
    print(m.find(b"unbuffered"))
show("blob")

os.mkdir("tree")
for i in range(20):
    shutil.copy2("text", f"tree/{i}")
shutil.move("tree", "moved")
shutil.rmtree("moved")
print(sorted(os.listdir(".")))
