use super::super::environment::transitions::PendingInvocation;
use super::super::spec::tests::{invocation, spec};
use super::state::{MIN_START_GRACE, WAKE_GRACE};
use super::*;
use crate::invocation::FunctionPayload;

#[tokio::test]
async fn the_most_recently_used_environment_serves_the_next_call() {
    let pool = Pool::new(Arc::new(spec("concurrency: 1")), 0, Arc::default());
    let first = pool.new_environment(0, &Qualifier::latest());
    let second = pool.new_environment(0, &Qualifier::latest());
    Arc::clone(&pool).ready(Arc::clone(&first));
    Arc::clone(&pool).ready(Arc::clone(&second));
    assert!(Arc::ptr_eq(
        &pool
            .environment(&Qualifier::latest())
            .await
            .unwrap()
            .unwrap(),
        &second
    ));
    assert!(Arc::ptr_eq(
        &pool
            .environment(&Qualifier::latest())
            .await
            .unwrap()
            .unwrap(),
        &first
    ));
}

/// Makes an environment of a pool idle, without a process.
async fn idle(pool: &Arc<Pool>) -> Arc<Environment> {
    let environment = pool.new_environment(0, &Qualifier::latest());
    lock(&pool.state)
        .environments
        .push(Arc::clone(&environment));
    ask(&environment).await;
    environment
}

/// Asks for the next invocation and leaves at once.
async fn ask(environment: &Arc<Environment>) {
    tokio::select! {
        biased;
        _ = environment.next() => panic!("there is no invocation"),
        () = std::future::ready(()) => {}
    }
}

/// Lets an environment respond to a call. It does not ask for more.
async fn respond(environment: &Arc<Environment>) {
    let invocation = invocation(&serde_json::json!({}));
    let id = invocation.request_id;
    let (caller, _response) = oneshot::channel();
    let invocation = Arc::new(invocation);
    environment
        .deliver(PendingInvocation { invocation, caller })
        .unwrap();
    environment.next().await.unwrap();
    let payload = FunctionPayload::Success(bytes::Bytes::new());
    environment.respond(id, payload, None).unwrap();
}

async fn taken(pool: &Arc<Pool>) -> Arc<Environment> {
    pool.environment(&Qualifier::latest())
        .await
        .unwrap()
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_environment_that_has_just_responded_is_awaited_before_another_starts() {
    let pool = Pool::new(Arc::new(spec("concurrency: 10")), 0, Arc::default());
    let only = idle(&pool).await;
    for _ in 0..3 {
        respond(&taken(&pool).await).await;
        let next = tokio::spawn({
            let pool = Arc::clone(&pool);
            async move { taken(&pool).await }
        });
        sleep(MIN_START_GRACE - Duration::from_millis(2)).await;
        assert_eq!(pool.environments(), 1);
        ask(&only).await;
        let next = next.await.unwrap();
        assert!(Arc::ptr_eq(&next, &only));
        Arc::clone(&pool).ready(next);
    }
    // One that works after its response is awaited no longer than that.
    respond(&taken(&pool).await).await;
    let latest = Qualifier::latest();
    let caller = std::pin::pin!(pool.environment(&latest));
    tokio::select! {
        _ = caller => panic!("no environment is ready"),
        () = sleep(MIN_START_GRACE + Duration::from_millis(2)) => {}
    }
    assert_eq!(pool.environments(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_environment_that_responded_long_ago_delays_no_call() {
    let pool = Pool::new(Arc::new(spec("concurrency: 10")), 0, Arc::default());
    idle(&pool).await;
    respond(&taken(&pool).await).await;
    sleep(MIN_START_GRACE).await;
    let latest = Qualifier::latest();
    let caller = std::pin::pin!(pool.environment(&latest));
    tokio::select! {
        biased;
        _ = caller => panic!("no environment is ready"),
        () = std::future::ready(()) => {}
    }
    assert_eq!(pool.environments(), 2, "it was started at once");
}

#[tokio::test(start_paused = true)]
async fn the_environment_that_was_used_last_is_awaited_before_another_is_woken() {
    let pool = Pool::new(Arc::new(spec("concurrency: 10")), 0, Arc::default());
    let other = idle(&pool).await;
    let last = idle(&pool).await;
    respond(&taken(&pool).await).await;
    let (next, ()) = tokio::join!(taken(&pool), async {
        sleep(WAKE_GRACE - Duration::from_millis(2)).await;
        ask(&last).await;
    });
    assert!(Arc::ptr_eq(&next, &last));
    respond(&next).await;
    let begun = Instant::now();
    assert!(Arc::ptr_eq(&taken(&pool).await, &other));
    assert!(begun.elapsed() <= WAKE_GRACE + Duration::from_millis(2));
    assert_eq!(pool.environments(), 2);
}

#[tokio::test(start_paused = true)]
async fn several_callers_at_once_wait_for_no_environment_that_can_be_had() {
    let pool = Pool::new(Arc::new(spec("concurrency: 10")), 0, Arc::default());
    let other = idle(&pool).await;
    let last = idle(&pool).await;
    respond(&taken(&pool).await).await;
    let first = tokio::spawn({
        let pool = Arc::clone(&pool);
        async move { taken(&pool).await }
    });
    tokio::task::yield_now().await;
    // The second caller does not wait for the environment that the first waits for.
    assert!(Arc::ptr_eq(&taken(&pool).await, &other));
    ask(&last).await;
    assert!(Arc::ptr_eq(&first.await.unwrap(), &last));
}
