package boxlite

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/boxlite-go/boxlite/internal/image"
)

// Images is the store of a home's images. Get it from [Runtime.Images].
type Images struct{ rt *Runtime }

// Image is an image in the store.
type Image struct {
	// Reference is its name, such as "docker.io/library/alpine:3.20"; empty if it
	// has lost it to another.
	Reference string `json:"reference"`
	// ID is the digest of its configuration, Digest that of its manifest.
	ID     string `json:"id"`
	Digest string `json:"digest"`
	// Platform is what it is made for, such as "linux/amd64".
	Platform string `json:"platform"`
	// CreatedAt is when it was made; nil if it doesn't say.
	CreatedAt *time.Time `json:"createdAt"`
	// Size is how much of the store its layers take up, in bytes.
	Size int64 `json:"size"`

	// What the image says about its main process.
	Entrypoint []string          `json:"entrypoint"`
	Cmd        []string          `json:"cmd"`
	Env        []string          `json:"env"`
	Dir        string            `json:"dir"`
	User       string            `json:"user"`
	StopSignal string            `json:"stopSignal"`
	Labels     map[string]string `json:"labels"`
}

// PullOptions says how to fetch an image. The zero value is fine.
type PullOptions struct {
	// Platform chooses one of an image made for several, such as "linux/amd64".
	// Empty means this host's.
	Platform string
	// Missing fetches the image only if it isn't in the store.
	Missing bool
	// Stdin is read for the references "docker-archive:-" and "rootfs:-".
	Stdin io.Reader
	// Progress, if it is not nil, is told how far things are. It is called by one
	// goroutine at a time, and must return quickly.
	Progress func(Progress)
}

// Progress tells how far the fetching of an image is.
type Progress struct {
	// Phase is "resolve", "download" or "convert".
	Phase string
	// Layer is the digest of the layer concerned, if any.
	Layer string
	// Done and Total are bytes. Total is 0 if it is not known.
	Done, Total int64
}

// Images returns the store of images.
func (rt *Runtime) Images() *Images { return &Images{rt: rt} }

// Pull fetches an image, and makes of it the disk that boxes start from. What is
// there already is not fetched again.
func (i *Images) Pull(ctx context.Context, ref string, options PullOptions) (Image, error) {
	if err := i.rt.check(); err != nil {
		return Image{}, err
	}
	o := image.PullOptions{Platform: options.Platform, Stdin: options.Stdin}
	if options.Progress != nil {
		o.Progress = func(p image.Progress) {
			options.Progress(Progress{Phase: p.Phase, Layer: p.Layer, Done: p.Done, Total: p.Total})
		}
	}
	pull := i.rt.images.Pull
	if options.Missing {
		pull = i.rt.images.Resolve
	}
	img, err := pull(ctx, ref, o)
	if i.rt.options.Log != nil {
		i.rt.options.Log.Debug("looked for the image", "image", ref, "found", img.Reference, "digest", img.Digest, "error", err)
	}
	if err != nil {
		return Image{}, err
	}
	if _, err := i.rt.images.Disk(ctx, img, o.Progress); err != nil {
		return Image{}, err
	}
	return imageOf(img), nil
}

// Get returns an image of the store by reference, digest, or the beginning of
// its ID.
func (i *Images) Get(ctx context.Context, ref string) (Image, error) {
	if err := i.rt.check(); err != nil {
		return Image{}, err
	}
	img, err := i.rt.images.Get(ctx, ref)
	return imageOf(img), err
}

// List returns all images of the store.
func (i *Images) List(ctx context.Context) ([]Image, error) {
	if err := i.rt.check(); err != nil {
		return nil, err
	}
	all, err := i.rt.images.List(ctx)
	images := make([]Image, 0, len(all))
	for _, img := range all {
		images = append(images, imageOf(img))
	}
	return images, err
}

// Remove removes a reference from the store and returns what was removed. With
// its last reference an image's files go too, but for those that others use. An
// image that boxes are made from is kept, unless force says otherwise; those
// boxes can then not be started until it has been fetched again.
func (i *Images) Remove(ctx context.Context, ref string, force bool) ([]string, error) {
	users, err := i.users(ctx)
	if err != nil {
		return nil, err
	}
	inUse := func(digest string) bool { return !force && len(users[digest]) > 0 }
	if img, err := i.rt.images.Get(ctx, ref); err == nil && inUse(img.Digest) && i.names(ctx, img.Digest) < 2 {
		return nil, &Error{
			Kind: ErrInvalidState, Op: "remove the image " + ref,
			Err:  fmt.Errorf("box %s is made from it", users[img.Digest][0]),
			Hint: "remove that box first, or the image by force with: boxlite rmi -f " + ref,
		}
	}
	return i.rt.images.Remove(ctx, ref, inUse)
}

// Prune removes what no reference and no box needs, and returns how many bytes
// that frees.
func (i *Images) Prune(ctx context.Context) (int64, error) {
	users, err := i.users(ctx)
	if err != nil {
		return 0, err
	}
	return i.rt.images.Prune(ctx, func(digest string) bool { return len(users[digest]) > 0 })
}

// PruneUnused removes all images that no box is made from, and what else nothing
// needs. It returns what was removed, as [Images.Remove] does, and how many bytes
// that frees.
func (i *Images) PruneUnused(ctx context.Context) (removed []string, freed int64, err error) {
	users, err := i.users(ctx)
	if err != nil {
		return nil, 0, err
	}
	return i.rt.images.PruneNamed(ctx, func(digest string) bool { return len(users[digest]) > 0 })
}

// names counts the references to an image.
func (i *Images) names(ctx context.Context, digest string) (n int) {
	all, _ := i.rt.images.List(ctx) // none, if it can't be read
	for _, img := range all {
		if img.Digest == digest {
			n++
		}
	}
	return n
}

// users returns the boxes made from each image, by its digest.
func (i *Images) users(ctx context.Context) (map[string][]string, error) {
	if err := i.rt.check(); err != nil {
		return nil, err
	}
	records, err := i.rt.boxes.List(ctx)
	users := make(map[string][]string)
	for _, r := range records {
		if digest := imageDigest(r); digest != "" {
			users[digest] = append(users[digest], r.Config.Label())
		}
	}
	return users, err
}

func imageOf(img image.Image) Image {
	c := &img.Config
	labels := c.Labels
	if labels == nil {
		labels = map[string]string{}
	}
	return Image{
		Reference: img.Reference, ID: img.ID, Digest: img.Digest, Platform: img.Platform,
		CreatedAt: timeOf(img.Created), Size: img.Size,
		Entrypoint: notNil(c.Entrypoint), Cmd: notNil(c.Cmd), Env: notNil(c.Env),
		Dir: c.WorkingDir, User: c.User, StopSignal: c.StopSignal, Labels: labels,
	}
}
