package main

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	appsapply "k8s.io/client-go/applyconfigurations/apps/v1"
	coreapply "k8s.io/client-go/applyconfigurations/core/v1"
	metaapply "k8s.io/client-go/applyconfigurations/meta/v1"
	kubeinformers "k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/client-go/util/retry"
	"k8s.io/client-go/util/workqueue"
)

const (
	keys    = 10
	writers = 4
	rounds  = 5
)

// queue is a controller as they are written: an informer fills a rate limited queue, workers make
// the copies of what it names, while writers race for one counter.
func queue(w *world) error {
	factory := kubeinformers.NewSharedInformerFactoryWithOptions(
		w.clients, 0, kubeinformers.WithNamespace(w.namespace))
	informer := factory.Core().V1().ConfigMaps()
	work := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[string]())
	defer work.ShutDown()
	enqueue := func(object any) {
		if key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(object); err == nil {
			work.Add(key)
		}
	}
	if _, err := informer.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: enqueue, UpdateFunc: func(_, object any) { enqueue(object) }, DeleteFunc: enqueue,
	}); err != nil {
		return err
	}
	factory.Start(w.ctx.Done())
	factory.WaitForCacheSync(w.ctx.Done())
	var mutex sync.Mutex
	failures := 0
	for range 2 {
		go func() {
			for {
				key, quit := work.Get()
				if quit {
					return
				}
				if err := w.copyOf(informer, key); err != nil {
					mutex.Lock()
					failures++
					mutex.Unlock()
					work.AddRateLimited(key)
				} else {
					work.Forget(key)
				}
				work.Done(key)
			}
		}()
	}
	for number := range keys {
		object := configMap(fmt.Sprintf("source-%d", number), map[string]string{"n": strconv.Itoa(number)})
		object.Labels = map[string]string{"copy": "me"}
		if _, err := w.clients.CoreV1().ConfigMaps(w.namespace).Create(
			w.ctx, object, metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	copies := func() int {
		list, err := w.clients.CoreV1().ConfigMaps(w.namespace).List(
			w.ctx, metav1.ListOptions{LabelSelector: "copy=of"})
		if err != nil {
			return -1
		}
		return len(list.Items)
	}
	if err := w.until("the copies", func() bool { return copies() == keys }); err != nil {
		return err
	}
	conflicts, err := w.race()
	if err != nil {
		return err
	}
	counter, err := w.clients.CoreV1().ConfigMaps(w.namespace).Get(w.ctx, "counter", metav1.GetOptions{})
	if err != nil {
		return err
	}
	report("queue", map[string]any{
		"copies": copies(), "counter": counter.Data["n"], "conflicts": conflicts, "writes": writers * rounds})
	return nil
}

type configMapInformer interface {
	Informer() cache.SharedIndexInformer
}

func (w *world) copyOf(informer configMapInformer, key string) error {
	object, found, err := informer.Informer().GetStore().GetByKey(key)
	if err != nil || !found {
		return err
	}
	source := object.(*corev1.ConfigMap)
	if source.Labels["copy"] != "me" {
		return nil
	}
	double := configMap("copy-of-"+source.Name, source.Data)
	double.Labels = map[string]string{"copy": "of"}
	double.OwnerReferences = []metav1.OwnerReference{
		*metav1.NewControllerRef(source, corev1.SchemeGroupVersion.WithKind("ConfigMap"))}
	_, err = w.clients.CoreV1().ConfigMaps(w.namespace).Create(w.ctx, double, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

// race has writers count in one object, each by reading and updating until nobody was faster.
func (w *world) race() (int, error) {
	if _, err := w.createConfigMap("counter", map[string]string{"n": "0"}); err != nil {
		return 0, err
	}
	api := w.clients.CoreV1().ConfigMaps(w.namespace)
	backoff := retry.DefaultBackoff
	backoff.Steps = 50
	var group sync.WaitGroup
	var mutex sync.Mutex
	conflicts, failures := 0, make(chan error, writers*rounds)
	for range writers {
		group.Add(1)
		go func() {
			defer group.Done()
			for range rounds {
				failures <- retry.RetryOnConflict(backoff, func() error {
					counter, err := api.Get(w.ctx, "counter", metav1.GetOptions{})
					if err != nil {
						return err
					}
					value, err := strconv.Atoi(counter.Data["n"])
					if err != nil {
						return err
					}
					counter.Data["n"] = strconv.Itoa(value + 1)
					_, err = api.Update(w.ctx, counter, metav1.UpdateOptions{})
					if apierrors.IsConflict(err) {
						mutex.Lock()
						conflicts++
						mutex.Unlock()
					}
					return err
				})
			}
		}()
	}
	group.Wait()
	close(failures)
	for err := range failures {
		if err != nil {
			return 0, err
		}
	}
	return conflicts, nil
}

// leaders has three candidates for one Lease: the first lets go, the second dies.
func leaders(w *world) error {
	started := make(chan string, 8)
	candidate := func(ctx context.Context, name string, release bool) error {
		lock, err := resourcelock.New(resourcelock.LeasesResourceLock, w.namespace, "leader",
			w.clients.CoreV1(), w.clients.CoordinationV1(), resourcelock.ResourceLockConfig{Identity: name})
		if err != nil {
			return err
		}
		elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
			Lock: lock, ReleaseOnCancel: release,
			LeaseDuration: 3 * time.Second, RenewDeadline: 2 * time.Second, RetryPeriod: 300 * time.Millisecond,
			Callbacks: leaderelection.LeaderCallbacks{
				OnStartedLeading: func(context.Context) { started <- name },
				OnStoppedLeading: func() {},
			},
		})
		if err != nil {
			return err
		}
		go elector.Run(ctx)
		return nil
	}
	order, waits := []string{}, []float64{}
	since := time.Now()
	next := func() error {
		select {
		case name := <-started:
			order, waits = append(order, name), append(waits, time.Since(since).Seconds())
			since = time.Now()
			return nil
		case <-w.ctx.Done():
			return fmt.Errorf("after %v nobody leads", order)
		}
	}
	for number, name := range []string{"releases", "dies", "last"} {
		ctx, leave := context.WithCancel(w.ctx)
		defer leave()
		if err := candidate(ctx, name, number != 1); err != nil {
			return err
		}
		if err := next(); err != nil {
			return err
		}
		if number < 2 {
			leave()
		}
	}
	lease, err := w.clients.CoordinationV1().Leases(w.namespace).Get(w.ctx, "leader", metav1.GetOptions{})
	if err != nil {
		return err
	}
	report("leaders", map[string]any{
		"order": order, "waits": waits, "holder": *lease.Spec.HolderIdentity,
		"transitions": *lease.Spec.LeaseTransitions})
	return nil
}

// apply uses the typed apply configurations: fields that two managers share, and one that leaves.
func apply(w *world) error {
	api := w.clients.CoreV1().ConfigMaps(w.namespace)
	one := coreapply.ConfigMap("shared", w.namespace).WithData(map[string]string{"a": "1", "b": "1"})
	if _, err := api.Apply(w.ctx, one, metav1.ApplyOptions{FieldManager: "one"}); err != nil {
		return err
	}
	two := coreapply.ConfigMap("shared", w.namespace).WithData(map[string]string{"b": "2", "c": "2"})
	_, refused := api.Apply(w.ctx, two, metav1.ApplyOptions{FieldManager: "two"})
	if _, err := api.Apply(w.ctx, two, metav1.ApplyOptions{FieldManager: "two", Force: true}); err != nil {
		return err
	}
	shared, err := api.Apply(w.ctx, coreapply.ConfigMap("shared", w.namespace),
		metav1.ApplyOptions{FieldManager: "one"})
	if err != nil {
		return err
	}
	extracted, err := coreapply.ExtractConfigMap(shared, "two")
	if err != nil {
		return err
	}
	labels := map[string]string{"app": "applied"}
	deployment := appsapply.Deployment("applied", w.namespace).WithSpec(appsapply.DeploymentSpec().
		WithReplicas(0).WithSelector(metaapply.LabelSelector().WithMatchLabels(labels)).
		WithTemplate(coreapply.PodTemplateSpec().WithLabels(labels).WithSpec(coreapply.PodSpec().
			WithContainers(coreapply.Container().WithName("main").WithImage("counter")))))
	applied, err := w.clients.AppsV1().Deployments(w.namespace).Apply(
		w.ctx, deployment, metav1.ApplyOptions{FieldManager: "one"})
	if err != nil {
		return err
	}
	status, err := w.clients.AppsV1().Deployments(w.namespace).ApplyStatus(w.ctx,
		appsapply.Deployment("applied", w.namespace).WithStatus(appsapply.DeploymentStatus().WithConditions(
			appsapply.DeploymentCondition().WithType("Tested").WithStatus("True").WithReason("Test").WithMessage("by apply"))),
		metav1.ApplyOptions{FieldManager: "status"})
	if err != nil {
		return err
	}
	back, err := appsapply.ExtractDeployment(applied, "one")
	if err != nil {
		return err
	}
	conditions := []string{}
	for _, condition := range status.Status.Conditions {
		conditions = append(conditions, string(condition.Type))
	}
	report("apply", map[string]any{
		"conflict": apierrors.IsConflict(refused), "data": shared.Data, "extracted": extracted.Data,
		"image": *back.Spec.Template.Spec.Containers[0].Image, "conditions": conditions,
	})
	return nil
}
