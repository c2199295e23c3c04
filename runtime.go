package boxlite

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gofrs/flock"
	"go.opentelemetry.io/otel/trace"

	"github.com/boxlite-go/boxlite/internal/assets"
	"github.com/boxlite-go/boxlite/internal/audit"
	"github.com/boxlite-go/boxlite/internal/box"
	"github.com/boxlite-go/boxlite/internal/image"
	"github.com/boxlite-go/boxlite/internal/image/flatten"
	"github.com/boxlite-go/boxlite/internal/jail"
	"github.com/boxlite-go/boxlite/internal/network/peers"
)

// Options says how to open a [Runtime]. The zero value is fine.
type Options struct {
	// Home is the folder for boxes and images. Empty means $BOXLITE_HOME, or
	// ~/.boxlite.
	Home string
	// ShimPath is an executable that imports this package, such as the boxlite
	// command, and holds running boxes. Empty means the running executable.
	ShimPath string
	// Engine is the name of the engine that runs boxes which don't name one,
	// such as "qemu". Empty chooses the best that works on this host.
	Engine string
	// Security is how much of a jail boxes must have which don't say so themselves.
	// Empty means SecurityDefault.
	Security Security
	// Mirrors lists, for a registry's host name, other hosts that are asked
	// before it. A mirror may begin with "http://".
	Mirrors map[string][]string
	// Registries are asked, in this order, for images whose name says no registry,
	// such as "alpine:3.20"; no others are. Empty means docker.io.
	Registries []string
	// MaxImageBytes is how large the layers of an image may be, uncompressed, all
	// together. Larger ones are refused with an error of kind
	// [ErrResourceExhausted]. 0 means 64 GiB.
	MaxImageBytes int64
	// StartTimeout is how long a box may take to start, once its image is there,
	// before it counts as failed. 0 means two minutes.
	StartTimeout time.Duration
	// Detach lets every box that this Runtime starts run on after it, whatever
	// its BoxSpec.Detach says.
	Detach bool
	// Log, if it is not nil, is told at the level of debugging what is done, and how
	// long the stages of a start took. It never sees arguments or environments.
	Log *slog.Logger
	// Tracer, if it is not nil, gets a span "boxlite.start" for each start of a box,
	// in the context of whoever needed it, with a child for each of its stages.
	Tracer trace.TracerProvider
	// OnStart, if it is not nil, is called when this Runtime has started a box,
	// with what [Box.Info] returns then. It must return quickly.
	OnStart func(BoxInfo)
}

// Runtime is a handle on a home folder with its boxes and images. Its methods
// may be called concurrently, and other processes may have the same home open.
type Runtime struct {
	options Options
	home    string
	lock    *flock.Flock
	log     *audit.Log
	boxes   *box.Store
	images  *image.Store

	mu       sync.RWMutex
	runs     map[string]*run     // by ID of the box
	restarts map[string]*restart // by ID of the box
	closed   bool

	execErrors atomic.Uint64 // commands that could not be started

	closing  chan struct{} // closed by Close
	watchers sync.WaitGroup

	sleep func(context.Context, time.Duration) error // pause, but in tests
}

// closeGrace is how long the main processes of boxes may take to end when the
// Runtime that started them is closed.
const closeGrace = 2 * time.Second

// Open opens a home folder. It makes the folder if it isn't there. The caller
// closes the Runtime.
func Open(options Options) (*Runtime, error) {
	security, err := jail.ParseSecurity(string(options.Security))
	if err != nil {
		return nil, err
	}
	options.Security = security
	home, err := homeDir(options.Home)
	if err != nil {
		return nil, err
	}
	if options.ShimPath != "" {
		// It is started from other folders, too.
		if options.ShimPath, err = filepath.Abs(options.ShimPath); err != nil {
			return nil, &Error{Kind: ErrConfig, Op: "find the shim's executable", Err: err}
		}
	}
	lock, err := lockHome(home)
	if err != nil {
		return nil, err
	}
	rt := &Runtime{
		options: options, home: home, lock: lock, log: audit.New(filepath.Join(home, "logs")),
		runs: make(map[string]*run), restarts: make(map[string]*restart),
		closing: make(chan struct{}), sleep: pause,
	}
	if rt.boxes, err = box.Open(filepath.Join(home, "boxes"), rt.log); err == nil {
		rt.images, err = image.Open(filepath.Join(home, "images"), image.Options{
			Embedded: image.Embedded{Reference: assets.BaseReference, Rootfs: assets.BaseImage, Config: assets.BaseConfig()},
			Mirrors:  options.Mirrors, Registries: options.Registries,
			Limits: flatten.Limits{Bytes: options.MaxImageBytes},
		})
	}
	if err != nil {
		_ = lock.Close()
		return nil, err
	}
	return rt, nil
}

// Home returns the absolute path of the home folder.
func (rt *Runtime) Home() string { return rt.home }

// Close stops the boxes that this Runtime has started and that are not detached,
// and lets go of the home. Afterwards the methods of the Runtime and its boxes
// return errors of kind [ErrStopped].
func (rt *Runtime) Close() error {
	rt.mu.Lock()
	if rt.closed {
		rt.mu.Unlock()
		return nil
	}
	rt.closed = true
	runs := maps.Clone(rt.runs)
	rt.mu.Unlock()

	var stops sync.WaitGroup
	var failed []error
	var mu sync.Mutex
	for id, r := range runs {
		if !r.attached.Load() {
			continue
		}
		stops.Go(func() {
			if err := rt.stop(context.Background(), id, closeGrace, false); err != nil && !errors.Is(err, ErrNotFound) {
				mu.Lock()
				defer mu.Unlock()
				failed = append(failed, err)
			}
		})
	}
	stops.Wait()
	close(rt.closing)
	for _, r := range runs {
		_ = r.client.Close()
	}
	rt.watchers.Wait()
	return errors.Join(append(failed, rt.lock.Close())...)
}

// check returns an error once the Runtime is closed.
func (rt *Runtime) check() error {
	rt.mu.RLock()
	defer rt.mu.RUnlock()
	if rt.closed {
		return &Error{Kind: ErrStopped, Err: errors.New("the Runtime has been closed"), Hint: "open another with boxlite.Open"}
	}
	return nil
}

// Create makes a box. It is quick: the image is fetched, and the machine booted,
// when the box is first used.
func (rt *Runtime) Create(ctx context.Context, spec BoxSpec) (*Box, error) {
	if err := rt.check(); err != nil {
		return nil, err
	}
	config, err := spec.config()
	if err != nil {
		return nil, err
	}
	if config.Engine == "" {
		config.Engine = rt.options.Engine
	}
	if config.Security == "" {
		config.Security = rt.options.Security
	}
	if img, err := rt.images.Get(ctx, config.Image); err == nil && (spec.Platform == "" || spec.Platform == img.Platform) {
		config.ImageDigest = img.Digest
		if len(rt.options.Registries) > 0 && img.Reference != "" {
			config.Image = img.Reference // to other Runtimes the name may mean an image of other people
		}
	}
	config.ID = box.NewID()
	if config.Secrets, err = rt.sealSecrets(config.ID, spec.Secrets); err != nil {
		return nil, err
	}
	record, err := rt.boxes.Create(ctx, config)
	if err != nil {
		return nil, err
	}
	rt.debug("created the box", record.Config.Label(), "id", record.ID, "image", config.Image)
	return &Box{rt: rt, config: record.Config}, nil
}

// Get finds a box by its ID, its name, or a prefix of its ID that no other box
// has.
func (rt *Runtime) Get(ctx context.Context, ref string) (*Box, error) {
	record, err := rt.find(ctx, ref)
	if err != nil {
		return nil, err
	}
	if record.Err != nil {
		return nil, record.Err
	}
	return &Box{rt: rt, config: record.Config}, nil
}

func (rt *Runtime) find(ctx context.Context, ref string) (box.Record, error) {
	if err := rt.check(); err != nil {
		return box.Record{}, err
	}
	id, err := rt.boxes.Find(ref)
	if err != nil {
		return box.Record{}, err
	}
	return rt.load(ctx, id)
}

// GetOrCreate returns the box named spec.Name, and makes it if there is none. It
// reports whether it did. The spec of a box that exists is not compared.
func (rt *Runtime) GetOrCreate(ctx context.Context, spec BoxSpec) (*Box, bool, error) {
	if spec.Name == "" {
		return nil, false, invalid("get or create a box", "set BoxSpec.Name", errors.New("it has no name"))
	}
	for {
		b, err := rt.Get(ctx, spec.Name)
		if err == nil && b.Name() == spec.Name {
			return b, false, nil
		}
		missing := errors.Is(err, ErrNotFound)
		if err != nil && !missing {
			return nil, false, err
		}
		b, err = rt.Create(ctx, spec)
		if missing && errors.Is(err, ErrAlreadyExists) {
			continue // another was quicker
		}
		return b, err == nil, err
	}
}

// List returns all boxes, oldest first. One whose record is damaged has the
// status [StatusUnknown] and says in Error what is wrong.
func (rt *Runtime) List(ctx context.Context) ([]BoxInfo, error) {
	if err := rt.check(); err != nil {
		return nil, err
	}
	records, err := rt.boxes.List(ctx)
	if err != nil {
		return nil, err
	}
	infos := make([]BoxInfo, 0, len(records))
	for _, record := range records {
		if rt.collect(ctx, record) {
			continue
		}
		infos = append(infos, rt.info(record))
	}
	return infos, nil
}

// Remove deletes a box and all its files. force stops it first, without giving
// its processes time to end.
func (rt *Runtime) Remove(ctx context.Context, ref string, force bool) error {
	if err := rt.check(); err != nil {
		return err
	}
	id, err := rt.boxes.Find(ref)
	if err != nil {
		return err
	}
	return rt.remove(ctx, id, force)
}

// discard deletes a box, which must not be active, and unlocks it.
func (rt *Runtime) discard(l *box.Locked) error {
	if len(l.Config.Network.Join) > 0 && !l.State.Status.Active() { // while its name can't be another's yet
		if err := peers.Leave(filepath.Join(rt.home, dirNetworks), l.Config.Name); err != nil {
			rt.debug("shared networks not left", l.Config.Label(), "error", err)
		}
	}
	return l.Remove()
}

func (rt *Runtime) remove(ctx context.Context, id string, force bool) error {
	var stopErr error // which matters only if the box still runs
	if force {
		stopErr = rt.stop(ctx, id, 0, true)
	}
	l, err := rt.boxes.Lock(ctx, id)
	if force && errors.Is(err, ErrNotFound) {
		return nil // it was to be removed when it stopped
	}
	if err != nil {
		return cmp.Or(stopErr, err)
	}
	err = rt.discard(l)
	rt.debug("removed the box", l.Config.Label(), "error", err)
	if stopErr != nil && !l.Removed() {
		return stopErr
	}
	return err // what went wrong at the stop went with the box
}
