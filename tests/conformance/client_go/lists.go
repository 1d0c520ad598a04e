package main

import (
	"fmt"
	"net/url"
	"sync"
	"time"

	"context"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/pager"
)

const many = 1200

// pages lists more than two pages by hand and by the pager of informers and controllers.
func pages(w *world) error {
	if err := w.fill(many); err != nil {
		return err
	}
	api := w.clients.CoreV1().ConfigMaps(w.namespace)
	options := metav1.ListOptions{Limit: 500, LabelSelector: "many=yes"}
	sizes, remaining, versions := []int{}, []int64{}, map[string]bool{}
	names := map[string]bool{}
	for {
		page, err := api.List(w.ctx, options)
		if err != nil {
			return err
		}
		for _, item := range page.Items {
			names[item.Name] = true
		}
		sizes, versions[page.ResourceVersion] = append(sizes, len(page.Items)), true
		if page.RemainingItemCount != nil {
			remaining = append(remaining, *page.RemainingItemCount)
		}
		if len(sizes) == 1 { // what comes after the first page is not in the others
			late := configMap("zz-late", nil)
			late.Labels = map[string]string{"many": "yes"}
			if _, err := api.Create(w.ctx, late, metav1.CreateOptions{}); err != nil {
				return err
			}
		}
		if page.Continue == "" {
			break
		}
		options.Continue = page.Continue
	}
	counted := 0
	fetch := pager.New(func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
		return api.List(ctx, options)
	})
	fetch.PageSize = 100
	if err := fetch.EachListItem(w.ctx, metav1.ListOptions{LabelSelector: "many=yes"},
		func(runtime.Object) error { counted++; return nil }); err != nil {
		return err
	}
	report("pages", map[string]any{
		"sizes": sizes, "remaining": remaining, "versions": len(versions), "names": len(names),
		"late": names["zz-late"], "pager": counted,
	})
	return api.DeleteCollection(w.ctx, metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: "many=yes"})
}

func (w *world) fill(count int) error {
	numbers, failures := make(chan int), make(chan error, count)
	var workers sync.WaitGroup
	for range 8 {
		workers.Add(1)
		go func() {
			defer workers.Done()
			for number := range numbers {
				object := configMap(fmt.Sprintf("many-%04d", number), nil)
				object.Labels = map[string]string{"many": "yes"}
				_, err := w.clients.CoreV1().ConfigMaps(w.namespace).Create(
					w.ctx, object, metav1.CreateOptions{})
				if err != nil {
					failures <- err
				}
			}
		}()
	}
	for number := range count {
		numbers <- number
	}
	close(numbers)
	workers.Wait()
	close(failures)
	return <-failures
}

// rate shows that the client keeps to its own rate, and that a refusal is an error with a type.
func rate(w *world) error {
	config := rest.CopyConfig(w.config)
	config.QPS, config.Burst = 20, 5
	clients, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	started := time.Now()
	for range 25 {
		if _, err := clients.CoreV1().Namespaces().Get(w.ctx, w.namespace, metav1.GetOptions{}); err != nil {
			return err
		}
	}
	_, err = clients.CoreV1().ConfigMaps(w.namespace).Get(w.ctx, "none", metav1.GetOptions{})
	missing := apierrors.IsNotFound(err)
	_, invalid := clients.CoreV1().ConfigMaps(w.namespace).Create(
		w.ctx, configMap("Not A Name", nil), metav1.CreateOptions{})
	var target *url.Error
	report("rate", map[string]any{
		"seconds": time.Since(started).Seconds(), "notFound": missing,
		"invalid": apierrors.IsInvalid(invalid), "transport": errorsAs(invalid, &target),
	})
	return nil
}
