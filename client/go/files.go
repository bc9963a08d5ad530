package mintonce

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"syscall"
	"time"
)

const (
	// lookEvery is how often files are looked at. Content is compared, not times: symlinks that Kubernetes swaps, and
	// clocks, cannot mislead it.
	lookEvery = time.Second
	// largestFile, in bytes: the bundle of all public authorities takes a quarter of it.
	largestFile = 1 << 20
)

// fileFault says that a file cannot be used. The text names the file and never shows what is in it.
type fileFault string

func (f fileFault) Error() string { return string(f) }

// watched is a value loaded from files, loaded again when their content changes.
//
// Nothing watches in the background: who asks for the value looks, at most once a second. A first load that fails is an
// error; a later one that fails keeps the value and warns once, and again only when the fault is another one.
type watched[T any] struct {
	paths  []string
	load   func(contents [][]byte) (T, error)
	logger *slog.Logger
	since  func() time.Duration // a clock

	mu     sync.Mutex
	value  T
	digest [sha256.Size]byte
	fault  string
	lookAt time.Duration
}

func watch[T any](
	logger *slog.Logger, remedy string, since func() time.Duration, paths []string, load func([][]byte) (T, error),
) (*watched[T], error) {
	w := &watched[T]{paths: paths, load: load, logger: logger, since: since}
	w.lookAt = since() + lookEvery
	contents, err := readAll(paths)
	if err == nil {
		w.digest = digestOf(contents)
		w.value, err = load(contents)
	}
	if err != nil {
		return nil, unusable(err.Error(), remedy)
	}
	return w, nil
}

// current returns the value. It reads the files when the last look is a second old.
func (w *watched[T]) current() T {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.since() >= w.lookAt {
		w.look()
		w.lookAt = w.since() + lookEvery
	}
	return w.value
}

func (w *watched[T]) look() {
	contents, err := readAll(w.paths)
	if err == nil {
		if digest := digestOf(contents); digest != w.digest {
			var value T
			if value, err = w.load(contents); err == nil {
				w.value, w.digest = value, digest
			}
		}
	}
	fault := ""
	if err != nil {
		fault = err.Error()
	}
	if fault != "" && fault != w.fault {
		w.logger.Warn("mintonce: " + fault + "; going on with what was there before")
	}
	w.fault = fault
}

func readAll(paths []string) ([][]byte, error) {
	contents := make([][]byte, len(paths))
	for i, path := range paths {
		content, err := readFile(path)
		if err != nil {
			return nil, err
		}
		contents[i] = content
	}
	return contents, nil
}

// readFile reads a regular file only: reading any other may wait forever, or not work twice.
func readFile(path string) ([]byte, error) {
	if looksSecret(path) {
		return nil, fileFault("what was given as a path is not a path: give the name of a file")
	}
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, unreadable(path, err)
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return nil, unreadable(path, err)
	}
	if !info.Mode().IsRegular() {
		return nil, fileFault(path + " is not a regular file")
	}
	content, err := io.ReadAll(io.LimitReader(file, largestFile+1))
	if err != nil {
		return nil, unreadable(path, err)
	}
	if len(content) > largestFile {
		return nil, fileFault(fmt.Sprintf("%s has more than %d bytes", path, largestFile))
	}
	return content, nil
}

func unreadable(path string, err error) error {
	var pathError *fs.PathError
	if errors.As(err, &pathError) {
		err = pathError.Err
	}
	return fileFault(path + " cannot be read: " + err.Error())
}

// digestOf is compared in place of the contents: no secret is kept for the comparison alone.
func digestOf(contents [][]byte) (sum [sha256.Size]byte) {
	hash := sha256.New()
	for _, content := range contents {
		// Lengths first: bytes that move from one file to the next are a change.
		_ = binary.Write(hash, binary.BigEndian, uint64(len(content)))
		hash.Write(content)
	}
	hash.Sum(sum[:0])
	return sum
}
