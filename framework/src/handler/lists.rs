//! The lists for explicit registration: `listeners![…]`, `jobs![…]`, `bean_functions![…]`.

/// The descriptors of `#[kafka_listener]` functions, for an application without discovery.
///
/// ```
/// use kafka_boot::prelude::*;
///
/// #[kafka_listener(topic = "orders", group = "billing")]
/// async fn on_order(order: Payload<String>) -> Result<()> {
///     info!(order = %order.0, "an order");
///     Ok(())
/// }
///
/// let listeners = kafka_boot::listeners![on_order];
/// assert_eq!(listeners[0].id, "on_order");
/// ```
#[macro_export]
macro_rules! listeners {
    ($($function:path),* $(,)?) => {{
        let listeners: &'static [&'static $crate::__private::ListenerDescriptor] = &[$(<$function>::LISTENER),*];
        listeners
    }};
}

/// The descriptors of `#[scheduled]` functions, for an application without discovery.
///
/// ```
/// use kafka_boot::prelude::*;
///
/// #[scheduled(fixed_delay = 1000)]
/// async fn sweep() -> Result<()> {
///     Ok(())
/// }
///
/// let jobs = kafka_boot::jobs![sweep];
/// assert_eq!(jobs[0].id, "sweep");
/// ```
#[macro_export]
macro_rules! jobs {
    ($($function:path),* $(,)?) => {{
        let jobs: &'static [&'static $crate::__private::JobDescriptor] = &[$(<$function>::JOB),*];
        jobs
    }};
}

/// The descriptors of `#[bean]` functions, for an application without discovery.
///
/// ```
/// use kafka_boot::prelude::*;
///
/// struct Repo;
///
/// #[bean]
/// fn repo() -> Repo {
///     Repo
/// }
///
/// let beans = kafka_boot::bean_functions![repo];
/// assert!(beans[0].function.ends_with("::repo"));
/// ```
#[macro_export]
macro_rules! bean_functions {
    ($($function:path),* $(,)?) => {{
        let beans: &'static [&'static $crate::__private::BeanDescriptor] = &[$(<$function>::BEAN),*];
        beans
    }};
}
