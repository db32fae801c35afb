//! Whether a letter may go back to the queue that it came from.

use etl_shared::{QueueName, api::LetterFailure};

use super::failure;
use crate::{broker::DEAD_LETTER_QUEUE, store::letters::OpenLetter};

/// Those that may, and why the others may not.
pub(super) fn replayable(open: Vec<OpenLetter>) -> (Vec<OpenLetter>, Vec<LetterFailure>) {
    let mut refused = Vec::new();
    let replayable = open.into_iter().filter(|letter| match obstacle(letter) {
        None => true,
        Some(why) => {
            refused.push(failure(letter.id, "not_replayable", &why));
            false
        }
    });
    (replayable.collect(), refused)
}

fn obstacle(letter: &OpenLetter) -> Option<String> {
    let queue = &letter.queue;
    if queue == DEAD_LETTER_QUEUE {
        // From there it would come back at once, for ever.
        return Some(format!(
            "it lay in {queue} without saying which queue it came from: publish its body where it belongs"
        ));
    }
    match queue.parse::<QueueName>() {
        Ok(name) => match name.tenant() {
            Some(tenant) if letter.tenant_id != Some(tenant.get()) => {
                Some(format!("{queue} is the queue of another tenant than the letter's"))
            }
            _ => None,
        },
        Err(error) => Some(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_goes_back_to_its_own_tenants_queue_or_to_one_that_is_no_tenants() {
        for (tenant_id, queue, may) in [
            (Some(7), "transform_queue_tenant_7", true),
            (Some(7), "transform_queue", true),
            (None, "transform_queue", true),
            (Some(7), "a queue of its own", true),
            (Some(7), "transform_queue_tenant_8", false),
            (None, "transform_queue_tenant_8", false),
            (Some(7), "transform_queue_tenant_07", false),
            (None, DEAD_LETTER_QUEUE, false),
            (Some(7), DEAD_LETTER_QUEUE, false),
        ] {
            let letter = OpenLetter { id: 1, tenant_id, queue: queue.to_owned(), body_bytes: 1 };
            let (replayable, refused) = replayable(vec![letter]);
            assert_eq!((replayable.len(), refused.len()), if may { (1, 0) } else { (0, 1) }, "{tenant_id:?} {queue}");
        }
    }
}
