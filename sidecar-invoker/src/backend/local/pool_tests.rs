use super::super::spec::tests::spec;
use super::*;

#[tokio::test]
async fn the_most_recently_used_environment_serves_the_next_call() {
    let pool = Pool::new(Arc::new(spec("concurrency: 1")), 0, Arc::default());
    let first = pool.new_environment(0);
    let second = pool.new_environment(0);
    Arc::clone(&pool).ready(Arc::clone(&first));
    Arc::clone(&pool).ready(Arc::clone(&second));
    assert!(Arc::ptr_eq(
        &pool.environment().await.unwrap().unwrap(),
        &second
    ));
    assert!(Arc::ptr_eq(
        &pool.environment().await.unwrap().unwrap(),
        &first
    ));
}
